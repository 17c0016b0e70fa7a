"""siplab_agent: what every agent of the lab's user agents has in common (docs/reference/agent-contract.md). See ../README.md."""

from .agent import Agent, claim_stdio
from .aio import AsyncAgent
from .audio import RATE, PcmRecorder, pcmu_decode, pcmu_encode, sine, tone_wav, write_wav
from .child import Child
from .config import Config
from .faults import BadParams, BadState, Dead, Refused, RequestError, UnknownAccount, UnknownCall, Unsupported
from .model import Account, Call, expect
from .pcm import PcmAgent
from .slicer import WavSlicer
from .wire import log

__all__ = [
    "RATE",
    "Account",
    "Agent",
    "AsyncAgent",
    "BadParams",
    "BadState",
    "Call",
    "Child",
    "Config",
    "Dead",
    "PcmAgent",
    "PcmRecorder",
    "Refused",
    "RequestError",
    "UnknownAccount",
    "UnknownCall",
    "Unsupported",
    "WavSlicer",
    "claim_stdio",
    "expect",
    "log",
    "pcmu_decode",
    "pcmu_encode",
    "sine",
    "tone_wav",
    "write_wav",
]
