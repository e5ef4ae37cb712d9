"""The nouns. Frozen, comparable, free of I/O; as JSON they are the shapes of ``--json``."""

from rhdesk.models.access import Access as Access
from rhdesk.models.access import Granted as Granted
from rhdesk.models.access import Group as Group
from rhdesk.models.access import Policy as Policy
from rhdesk.models.access import TokenTold as TokenTold
from rhdesk.models.access import Way as Way
from rhdesk.models.audit import Audited as Audited
from rhdesk.models.audit import AuditHead as AuditHead
from rhdesk.models.change import Diff as Diff
from rhdesk.models.change import FieldChange as FieldChange
from rhdesk.models.change import FileChange as FileChange
from rhdesk.models.cluster import Cluster as Cluster
from rhdesk.models.cluster import ClusterSpec as ClusterSpec
from rhdesk.models.cluster import ClusterState as ClusterState
from rhdesk.models.cluster import Gpu as Gpu
from rhdesk.models.cluster import Link as Link
from rhdesk.models.cluster import Machines as Machines
from rhdesk.models.cluster import Node as Node
from rhdesk.models.cluster import NodeStats as NodeStats
from rhdesk.models.code import CodePlan as CodePlan
from rhdesk.models.code import FileVerdict as FileVerdict
from rhdesk.models.code import Pulled as Pulled
from rhdesk.models.code import Synced as Synced
from rhdesk.models.code import Watched as Watched
from rhdesk.models.code import Written as Written
from rhdesk.models.daemon import DaemonState as DaemonState
from rhdesk.models.daemon import Loop as Loop
from rhdesk.models.data import DataCheck as DataCheck
from rhdesk.models.data import Entry as Entry
from rhdesk.models.data import Held as Held
from rhdesk.models.data import Location as Location
from rhdesk.models.defaults import DefaultSaid as DefaultSaid
from rhdesk.models.env import Env as Env
from rhdesk.models.env import EnvSpec as EnvSpec
from rhdesk.models.exchanged import Exchanged as Exchanged
from rhdesk.models.exchanged import Overlap as Overlap
from rhdesk.models.finding import Finding as Finding
from rhdesk.models.function import Parameter as Parameter
from rhdesk.models.function import Signature as Signature
from rhdesk.models.imported import Imported as Imported
from rhdesk.models.item import Item as Item
from rhdesk.models.lane import Lane as Lane
from rhdesk.models.lane import Promotion as Promotion
from rhdesk.models.lineage import Branch as Branch
from rhdesk.models.lineage import Edge as Edge
from rhdesk.models.lineage import Lineage as Lineage
from rhdesk.models.live import Live as Live
from rhdesk.models.log import LogHit as LogHit
from rhdesk.models.log import LogLine as LogLine
from rhdesk.models.log import Stream as Stream
from rhdesk.models.machines import Cost as Cost
from rhdesk.models.machines import Offer as Offer
from rhdesk.models.machines import Orphan as Orphan
from rhdesk.models.machines import Plan as Plan
from rhdesk.models.machines import RunCost as RunCost
from rhdesk.models.machines import SkyState as SkyState
from rhdesk.models.name import Name as Name
from rhdesk.models.record import Record as Record
from rhdesk.models.record import Version as Version
from rhdesk.models.run import Away as Away
from rhdesk.models.run import Failure as Failure
from rhdesk.models.run import Run as Run
from rhdesk.models.run import RunStatus as RunStatus
from rhdesk.models.secret import MASK as MASK
from rhdesk.models.secret import Keeper as Keeper
from rhdesk.models.secret import Provider as Provider
from rhdesk.models.secret import Secret as Secret
from rhdesk.models.secret import SecretText as SecretText
from rhdesk.models.secret import Values as Values
from rhdesk.models.setting import Flaw as Flaw
from rhdesk.models.setting import Said as Said
from rhdesk.models.setting import Setting as Setting
from rhdesk.models.step import Check as Check
from rhdesk.models.step import Step as Step
from rhdesk.models.step import StepState as StepState
from rhdesk.models.store import CODE as CODE
from rhdesk.models.store import Conflict as Conflict
from rhdesk.models.store import Rejected as Rejected
from rhdesk.models.store import StoreState as StoreState
from rhdesk.models.store import unit_of as unit_of
from rhdesk.models.table import Column as Column
from rhdesk.models.table import ColumnProfile as ColumnProfile
from rhdesk.models.table import TableInfo as TableInfo
from rhdesk.models.table import TablePage as TablePage
from rhdesk.models.table import TableWritten as TableWritten

__all__ = [
    "CODE",
    "MASK",
    "Access",
    "AuditHead",
    "Audited",
    "Away",
    "Branch",
    "Check",
    "Cluster",
    "ClusterSpec",
    "ClusterState",
    "CodePlan",
    "Column",
    "ColumnProfile",
    "Conflict",
    "DaemonState",
    "DataCheck",
    "DefaultSaid",
    "Diff",
    "Edge",
    "Env",
    "EnvSpec",
    "Exchanged",
    "Failure",
    "FieldChange",
    "FileChange",
    "FileVerdict",
    "Finding",
    "Flaw",
    "Gpu",
    "Granted",
    "Group",
    "Imported",
    "Item",
    "Keeper",
    "Lane",
    "Lineage",
    "Link",
    "Live",
    "LogHit",
    "LogLine",
    "Loop",
    "Name",
    "Node",
    "NodeStats",
    "Overlap",
    "Parameter",
    "Policy",
    "Promotion",
    "Provider",
    "Pulled",
    "Record",
    "Rejected",
    "Run",
    "RunStatus",
    "Said",
    "Secret",
    "SecretText",
    "Setting",
    "Signature",
    "Step",
    "StepState",
    "StoreState",
    "Stream",
    "Synced",
    "TableInfo",
    "TablePage",
    "TableWritten",
    "TokenTold",
    "Values",
    "Version",
    "Watched",
    "Way",
    "Written",
    "unit_of",
]
