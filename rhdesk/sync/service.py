"""The remote store as a desk has it: replica, engine and line, working together.

Reading and saving ask the replica only, in the thread that owns it. `sync` and `keep` let the
engine say what to send, send it, and commit what the answers change. One process at a time does
so for a replica; the others see what it does.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from rhdesk.errors import BadInput, ConnectionFailed, NotFound, Refused, RhdeskError
from rhdesk.models import Name, StoreState
from rhdesk.sync.account import Account, Accounts, Token, read_url
from rhdesk.sync.contact import ContactFile, SyncerLock
from rhdesk.sync.engine import Engine, Reply
from rhdesk.sync.names import ReplicaNames, new_id
from rhdesk.sync.policy_file import policy_file
from rhdesk.sync.replica import Rows, SqliteReplica
from rhdesk.sync.state import AskChanges, AskListing, Push, Request
from rhdesk.wire.store import API, Answer, ChangesPage, Gone, Grant, Invalid, ListingPage, Stored

if TYPE_CHECKING:
    from rhdesk.ports import Shelf
    from rhdesk.sync.remote import Remote

T = TypeVar("T")
Page = TypeVar("Page", ChangesPage | Gone, ListingPage)
log = logging.getLogger("rhdesk.sync")

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MOST_IDLE_PAGES: Final = 3
_PAGE: Final = 500
"""Rows asked for at once."""
LARGEST_BLOB: Final = 32 * 1024 * 1024
_WAIT_S: Final = 25.0
"""How long the store keeps a question open for something to happen."""
_LOOK_S: Final = 0.25
"""What another process queued is noticed after so long."""
_ASK_AGAIN_S: Final = 0.5
"""While writes are on their way, the feed is asked so often."""
_SHORT_S: Final = 1.0
"""What somebody waits for a store that may be away."""
_AT_ONCE: Final = 8


class RemoteStore:
    """One data folder's store. Nothing is opened before the first verb.

    Args:
        shelf: Where files of code are kept by hash.
        timeout_s: Seconds to wait for a connection, and for each piece of an answer.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        shelf: Callable[[], Shelf],
        timeout_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accounts = Accounts(data_dir / "sync")
        self._shelf = shelf
        self._timeout_s = timeout_s
        self.now = now
        self._owner = ThreadPoolExecutor(1, "rhdesk-store")
        self._names: dict[Account, ReplicaNames] = {}
        self._sent_blobs: set[str] = set()

    async def aclose(self) -> None:
        """Close; also while the interpreter ends, when executors take no more work."""
        try:
            await self.own(self._close)
        except RuntimeError:
            return
        self._owner.shutdown()

    async def call(self, ask: Callable[[ReplicaNames], T]) -> T:
        """Ask the names in the owner's thread.

        Raises:
            BadInput: Nobody is logged in.
        """
        return await self.own(lambda: ask(self._opened(self._accounts.required())))

    # ---- who is logged in

    async def login(self, url: str, token: str, *, folder: str = "") -> StoreState:
        """Log in, once the store has said whose token it is.

        Raises:
            BadInput: The address is none, or none of a store.
            Refused: The store does not know the token.
            ConnectionFailed: The store cannot be reached; nobody new is logged in.
        """
        address, secret = read_url(url), Token(token)
        if folder:
            folder = _read_folder(folder)
        async with self._line(address, secret) as remote:
            about = await remote.about()
        if not about.oldest_api <= API <= about.api:
            raise Refused(
                f"{address} speaks protocols {about.oldest_api} to {about.api}, this rhdesk {API}; "
                "bring the older of the two up to date"
            )
        account = Account(url=address, user=about.user, folder=folder or about.folder)

        def keep() -> str:
            before = self._current_or_none()
            left = 0
            if before is not None and before.key != account.key:
                left = self._opened(before).replica.read(lambda rows: rows.counts()[0])
            self._accounts.keep(account, secret)
            self._contact(account).heard(status="syncing")
            if not left or before is None:
                return ""
            return (
                f"{left} writes of {before.user} for {before.url} are kept here, and sent when "
                f"{before.user} logs in there again"
            )

        waiting = await self.own(keep)
        return msgspec.structs.replace(await self.state(), error=waiting)

    async def logout(self, *, discard: bool = False) -> StoreState:
        """Log out. Conflicts and refused writes are kept for the next login as the same person;
        what the store told is removed.

        Raises:
            BadInput: Writes wait for the store, and *discard* was not said.
        """
        account = self._accounts.required()

        def leave() -> None:
            names = self._opened(account)
            queued = names.replica.read(lambda rows: rows.counts()[0])
            if queued and not discard:
                raise BadInput(
                    f"the store does not have all yet, {queued} of your writes wait: send them with "
                    "rhdesk sync, or drop them with rhdesk logout --discard"
                )
            names.replica.write(lambda rows: rows.drop_ops())
            # In this order: whoever keeps in step looks first whether somebody is logged in.
            self._accounts.forget(account)
            names.replica.forget_mirror()
            policy_file(self._accounts.folder_of(account)).unlink(missing_ok=True)

        await self.own(leave)
        return await self.state()

    async def state(self) -> StoreState:
        """How it stands; no network."""

        def look() -> StoreState:
            account = self._accounts.current()
            if account is None:
                return StoreState()
            queued, conflicts, rejected = self._opened(account).replica.read(
                lambda rows: rows.counts()
            )
            contact = self._contact(account).read()
            return StoreState(
                url=account.url,
                user=account.user,
                folder=account.folder,
                status=contact.status,
                queued=queued,
                conflicts=conflicts,
                rejected=rejected,
                last_contact=contact.last_contact,
                error=contact.error,
                syncing_pid=SyncerLock(self._accounts.folder_of(account)).holder(),
            )

        return await self.own(look)

    # ---- in step

    async def sync(self, *, timeout_s: float = 30.0, checks: bool = True) -> StoreState:
        """Send what waits and read what is new, until nothing is left to do.

        Ends early when the store cannot be reached, or the time is over; the state tells.

        Args:
            checks: Look at every row of the replica first.
        """
        account = self._accounts.required()
        with SyncerLock(self._accounts.folder_of(account)).held() as is_ours:
            if is_ours:
                await self._sync_once(account, timeout_s, checks=checks)
            else:
                await self._watch(timeout_s)
        return await self.state()

    async def nudge(self) -> StoreState:
        """One short try to send what was just saved; none while the store is known to be away, or
        another process sees to it."""
        account = self._accounts.required()
        if self._contact(account).is_open():
            return await self.state()
        return await self.sync(timeout_s=_SHORT_S, checks=False)

    async def keep(self) -> None:
        """Keep in step until cancelled: whoever is logged in, whatever fails."""
        while True:
            account = await self.own(self._current_or_none)
            if account is None:
                await asyncio.sleep(8 * _LOOK_S)
                continue
            with SyncerLock(self._accounts.folder_of(account)).held() as is_ours:
                if is_ours:
                    await asyncio.sleep(await self._keep_with(account))
                    continue
            await asyncio.sleep(4 * _LOOK_S)

    async def _sync_once(self, account: Account, timeout_s: float, *, checks: bool) -> None:
        contact = self._contact(account)
        line = await self._exchange(account)
        try:
            async with asyncio.timeout(timeout_s):
                if checks:
                    await self.check()
                async with self._line(account.url, self._accounts.token_of(account)) as remote:
                    await line.run(remote)
            contact.heard(status="current")
        except _LoggedOut:
            return
        except TimeoutError:
            if line.has_heard:
                contact.heard(status="syncing")
            else:
                contact.failed(f"{account.url} did not answer in {timeout_s:g} s")
        except (ConnectionFailed, Refused, BadInput, NotFound) as exc:
            _tell(contact, exc)

    async def _keep_with(self, account: Account) -> float:
        """Keep in step with one store until that fails; returns how long to rest."""
        contact = self._contact(account)
        try:
            line = await self._exchange(account)
            await self.check()
            async with self._line(account.url, self._accounts.token_of(account)) as remote:
                await line.run(remote, forever=True)
        except _LoggedOut:
            return 0.0
        except RhdeskError as exc:
            return _tell(contact, exc)
        return 0.0

    async def check(self) -> None:
        """Look at every row of the replica; what is damaged is made anew, or put aside."""
        await self.call(lambda names: names.replica.check())

    async def _exchange(self, account: Account) -> _Exchange:
        folder = self._accounts.folder_of(account)
        replica = await self.own(lambda: self._opened(account).replica)
        return _Exchange(self, account, replica, self._contact(account), folder / "outbox.db")

    async def _watch(self, timeout_s: float) -> None:
        """Another process is at it: wait until nothing is queued."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    state = await self.state()
                    if not (state.queued and state.syncing_pid):
                        return
                    await asyncio.sleep(_LOOK_S)

    # ---- what only the store has

    async def fill(self, name: Name) -> None:
        """Fetch the versions of *name* that were never seen here; short, and without a word where
        the store is away: what is here is told anyway."""
        account = await self.own(self._accounts.required)
        if self._contact(account).is_open():
            return
        rid = await self.call(lambda names: names.lacking_versions(name))
        if not rid:
            return
        try:
            async with (
                asyncio.timeout(_SHORT_S),
                self._line(account.url, self._accounts.token_of(account)) as remote,
            ):
                before = 0
                while (page := await remote.versions(rid, before=before)) is not None:
                    await self.call(partial(_keep_versions, page.rows))
                    if not page.more or not page.rows:
                        return
                    before = page.rows[-1].rev
        except (TimeoutError, RhdeskError) as exc:
            if isinstance(exc, TimeoutError | ConnectionFailed):
                self._contact(account).failed(str(exc) or f"{account.url} did not answer")

    async def fetch_code(self, digest: str) -> bytes:
        """A file of code that was saved elsewhere; kept on the shelf from now on.

        Raises:
            NotFound: The store does not have it either.
            ConnectionFailed: It is not here, and the store is away.
        """
        account = await self.own(self._accounts.required)
        async with self._line(account.url, self._accounts.token_of(account)) as remote:
            data = await remote.blob(digest)
        if sha256(data).hexdigest() != digest:
            raise ConnectionFailed(f"{account.url} sent another file than {digest[:12]}")
        await asyncio.to_thread(self._shelf().keep, {digest: data})
        return data

    async def ask(
        self, work: Callable[[Remote], Awaitable[T]], *, timeout_s: float | None = None
    ) -> T:
        """Ask the store itself.

        Args:
            timeout_s: So long at most; by default as long as each piece of an answer may take.

        Raises:
            BadInput: Nobody is logged in.
            ConnectionFailed: It is away.
        """
        account = await self.own(self._accounts.required)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._line(account.url, self._accounts.token_of(account)) as remote,
            ):
                return await work(remote)
        except TimeoutError as exc:
            raise ConnectionFailed(f"{account.url} did not answer in {timeout_s:g} s") from exc

    async def beside(self) -> tuple[Account, Path]:
        """Who is logged in, and the folder of all that is kept of their store.

        Raises:
            BadInput: Nobody is.
        """
        account = await self.own(self._accounts.required)
        return account, self._accounts.folder_of(account)

    async def use_token(self, text: str) -> None:
        """Speak with another token of the same person from now on."""
        account = await self.own(self._accounts.required)
        await self.own(lambda: self._accounts.keep(account, Token(text)))

    async def grant(self, folder: str, users: list[str], level: str) -> list[Grant]:
        """Let *users* do so much in *folder* and below; returns who may what there now."""
        account = await self.own(self._accounts.required)
        async with self._line(account.url, self._accounts.token_of(account)) as remote:
            for user in users:
                await remote.grant(Grant(principal=user, folder=folder, level=level))
            return await remote.grants(folder)

    async def send_code(self, remote: Remote, body: Mapping[str, Any] | None) -> None:
        """See to it that the store has the files a record names, before it has the record.

        Raises:
            BadInput: One is larger than a store takes.
        """
        lacking = [digest for digest in _code_in(body) if digest not in self._sent_blobs]
        at_once = asyncio.Semaphore(_AT_ONCE)
        sent = await asyncio.gather(
            *(self._send_file(remote, digest, at_once) for digest in lacking),
            return_exceptions=True,
        )
        for error in sent:
            if error is not None:
                raise error

    async def _send_file(self, remote: Remote, digest: str, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            if not await remote.has_blob(digest):
                try:
                    data = await asyncio.to_thread(self._shelf().load, digest)
                except NotFound:
                    return  # nobody here ever had it; the record is worth keeping all the same
                if len(data) > LARGEST_BLOB:
                    raise BadInput(
                        f"its code holds a file of {len(data):,} bytes; "
                        f"a store takes {LARGEST_BLOB:,}"
                    )
                await remote.put_blob(digest, data)
            self._sent_blobs.add(digest)

    # ---- underneath

    async def own(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._owner, work)

    def _opened(self, account: Account) -> ReplicaNames:
        """In the owner's thread."""
        if account not in self._names:
            replica = SqliteReplica(self._accounts.folder_of(account), user=account.user)
            self._names[account] = ReplicaNames(
                replica, folder=account.folder, user=account.user, now=self.now
            )
        return self._names[account]

    def _close(self) -> None:
        while self._names:
            self._names.popitem()[1].replica.close()

    def is_logged_in(self, account: Account) -> bool:
        """Whether *account* still is."""
        now = self._current_or_none()
        return now is not None and now.key == account.key

    def _current_or_none(self) -> Account | None:
        try:
            return self._accounts.current()
        except BadInput:
            return None

    def _contact(self, account: Account) -> ContactFile:
        return ContactFile(self._accounts.folder_of(account), self.now)

    @asynccontextmanager
    async def _line(self, url: str, token: Token) -> AsyncGenerator[Remote]:
        from rhdesk.sync.remote import Remote

        remote = Remote(url, token, timeout_s=self._timeout_s)
        async with aclosing(remote):
            yield remote


class _LoggedOut(Exception):
    """Somebody logged out, or in elsewhere; what is still on its way is nobody's."""


class _Exchange:
    """Requests out, answers in, for as long as one line holds."""

    def __init__(
        self,
        store: RemoteStore,
        account: Account,
        replica: SqliteReplica,
        contact: ContactFile,
        outbox: Path,
    ) -> None:
        self.has_heard = False
        """The store has answered something."""
        self._store = store
        self._account = account
        self._replica = replica
        self._engine = Engine(replica.rows, store.now, new_id)
        self._contact = contact
        self._outbox = outbox
        self._inbox: asyncio.Queue[tuple[Request, Reply | RhdeskError] | None] = asyncio.Queue()
        self._on_their_way = 0
        """Writes."""
        self._all_there = asyncio.Event()
        self._all_there.set()
        self._idle_pages = 0
        self._most_rows = _PAGE
        self._told = ""

    async def run(self, remote: Remote, *, forever: bool = False) -> None:
        """Exchange until nothing is left to do, or *forever*.

        Raises:
            ConnectionFailed, Refused: A request failed; the first that did.
        """
        failure: RhdeskError | _LoggedOut | None = None
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            try:
                await self._talk(remote, group, tasks, forever=forever)
            except (RhdeskError, _LoggedOut) as exc:
                failure = exc  # as it is, not in a group of one
            for task in tasks:
                task.cancel()
        if failure is not None:
            raise failure

    async def _talk(
        self,
        remote: Remote,
        group: asyncio.TaskGroup,
        tasks: list[asyncio.Task[None]],
        *,
        forever: bool,
    ) -> None:
        if forever:
            tasks.append(group.create_task(self._look()))
        while True:
            for request in await self._store.own(self._wants):
                self._on_their_way += isinstance(request, Push)
                asked = self._send(remote, request, wait_s=_WAIT_S if forever else 0.0)
                tasks[:] = [each for each in tasks if not each.done()]
                tasks.append(group.create_task(asked))
            batch = [await self._inbox.get()]
            while not self._inbox.empty():
                batch.append(self._inbox.get_nowait())
            answers = [each for each in batch if each is not None]
            queued = await self._store.own(partial(self._take, answers))
            for _, reply in answers:
                if isinstance(reply, RhdeskError):
                    raise reply
            if not forever and self._is_done(answers, queued):
                return
            self._tell(queued, answers)

    def _wants(self) -> list[Request]:
        return self._replica.read(lambda _: self._engine.wants(_AT_ONCE))

    def _take(self, answers: Sequence[tuple[Request, Reply | RhdeskError]]) -> int:
        """Commit what the answers change, all together; returns how many writes are left here."""

        def take(rows: Rows) -> int:
            if not self._store.is_logged_in(self._account):
                raise _LoggedOut
            for request, reply in answers:
                if isinstance(reply, RhdeskError):
                    self._engine.timed_out(request)
                else:
                    rows.apply(self._engine.heard(request, reply))
            return len(rows.rids_of_ops())

        return self._replica.write(take) if answers else self._replica.read(take)

    def _is_done(
        self, answers: Sequence[tuple[Request, Reply | RhdeskError]], queued: int
    ) -> bool:
        """Whether a page that told nothing new came after everything was sent."""
        pages = [r for _, r in answers if isinstance(r, ChangesPage | Gone | ListingPage)]
        if pages and not self._on_their_way:
            last = pages[-1]
            if isinstance(last, ChangesPage) and not last.rows and not last.more:
                self._idle_pages += 1
                # What cannot be sent, because something else must come first, may be left.
                return not queued or self._idle_pages > _MOST_IDLE_PAGES
            self._idle_pages = 0
        return False

    async def _send(self, remote: Remote, request: Request, *, wait_s: float) -> None:
        reply: Reply | RhdeskError
        try:
            match request:
                case Push():
                    self._all_there.clear()
                    reply = await self._push(remote, request)
                case AskChanges():
                    # Own writes come back through the feed: in one page rather than one by one.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_ASK_AGAIN_S):
                            await self._all_there.wait()
                    reply = await self._page(
                        partial(remote.changes, request.epoch, request.since, wait_s=wait_s)
                    )
                case AskListing():
                    reply = await self._page(partial(remote.listing, request.after))
        except RhdeskError as exc:
            reply = exc
        if isinstance(request, Push):
            self._on_their_way -= 1
            if not self._on_their_way:
                self._all_there.set()
        self.has_heard |= not isinstance(reply, RhdeskError)
        self._inbox.put_nowait((request, reply))

    async def _page(self, ask: Callable[..., Awaitable[Page]]) -> Page:
        """A page, of fewer rows where they are large ones."""
        from rhdesk.sync.remote import TooMuch

        while True:
            try:
                return await ask(limit=self._most_rows)
            except TooMuch:
                if self._most_rows == 1:
                    raise
                self._most_rows = max(1, self._most_rows // 8)

    async def _push(self, remote: Remote, push: Push) -> Answer:
        try:
            await self._store.send_code(remote, push.put.body)
        except BadInput as exc:
            return Invalid(str(exc))
        return await remote.put(push.rid, push.op_id, push.based, push.put)

    async def _look(self) -> None:
        """Notice what was saved meanwhile, by whichever process, and that somebody logged out."""
        seen = 0
        while True:
            with suppress(OSError):
                stamp = self._outbox.stat().st_mtime_ns
                if stamp != seen or not self._store.is_logged_in(self._account):
                    seen = stamp
                    self._inbox.put_nowait(None)
            await asyncio.sleep(_LOOK_S)

    def _tell(self, queued: int, answers: Sequence[object]) -> None:
        status = "syncing" if queued or self._on_their_way else "current"
        if answers and status != self._told:
            self._contact.heard(status=status)
            self._told = status


def _keep_versions(versions: Sequence[Stored], names: ReplicaNames) -> None:
    names.replica.write(lambda rows: rows.add_versions(rows.cursor().epoch, versions))


def _tell(contact: ContactFile, error: RhdeskError) -> float:
    """Write down why the line broke; returns how long to rest."""
    is_away = isinstance(error, ConnectionFailed)
    after_s = getattr(error, "after_s", 0.0)
    log.info("the store: %s", error)
    return contact.failed(str(error), status="offline" if is_away else "refused", after_s=after_s)


def _code_in(body: Mapping[str, Any] | None) -> list[str]:
    """The files a record's code is made of, by hash."""
    code = (body or {}).get("code")
    if not isinstance(code, dict):
        return []
    files = code.get("files")
    found = [*(files.values() if isinstance(files, dict) else []), code.get("blob")]
    return [each for each in found if isinstance(each, str) and _DIGEST.fullmatch(each)]


def _read_folder(text: str) -> str:
    name = Name.parse(text.rstrip("/"))
    if name.root != "/" or name.version:
        raise BadInput(f"{text!r} is no folder of a store; one looks like /ada or /team/models")
    return str(name)
