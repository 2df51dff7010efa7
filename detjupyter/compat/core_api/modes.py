"""The choices that arguments of the Core API name. Most of them concern several processes, and here there is one."""

from __future__ import annotations

from enum import Enum


class PreemptMode(Enum):
    """Who asks whether to stop; here there is one process."""

    WorkersAskChief = "WORKERS_ASK_CHIEF"
    ChiefOnly = "CHIEF_ONLY"
    WorkersAskMaster = "WORKERS_ASK_MASTER"


class TensorboardMode(Enum):
    """Who takes care of TensorBoard's files."""

    AUTO = "AUTO"
    MANUAL = "MANUAL"


class DownloadMode(Enum):
    """Who fetches a checkpoint; here there is one process."""

    LocalWorkersShareDownload = "LOCAL_WORKERS_SHARE_DOWNLOAD"
    NoSharedDownload = "NO_SHARED_DOWNLOAD"


class SearcherMode(Enum):
    """Who asks a search what to do; here there is one process."""

    WorkersAskChief = "WORKERS_ASK_CHIEF"
    ChiefOnly = "CHIEF_ONLY"


class EarlyExitReason(Enum):
    """Why a script ends before it is through."""

    INVALID_HP = "EXITED_REASON_INVALID_HP"
    USER_REQUESTED_STOP = "EXITED_REASON_USER_REQUESTED_STOP"


class Unit(Enum):
    """What the length of a training is counted in."""

    EPOCHS = "EPOCHS"
    RECORDS = "RECORDS"
    BATCHES = "BATCHES"
