"""G.711 (ITU-T): µ-law and A-law to 16-bit little-endian PCM and back."""

from __future__ import annotations

from array import array

_BIAS, _CLIP = 0x84, 32635


def _mu_byte(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


def _mu_sample(byte: int) -> int:
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + _BIAS << ((byte & 0x70) >> 4)) - _BIAS
    return -magnitude if byte & 0x80 else magnitude


def _a_byte(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else -sample - 1, 32767) >> 4
    exponent = max(0, magnitude.bit_length() - 4)
    exponent = min(exponent, 7)
    mantissa = magnitude >> (max(exponent, 1) - 1 if exponent else 0)
    return (sign | exponent << 4 | mantissa & 0x0F) ^ 0x55


def _a_sample(byte: int) -> int:
    byte ^= 0x55
    exponent, mantissa = (byte & 0x70) >> 4, byte & 0x0F
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return magnitude if byte & 0x80 else -magnitude


_DECODE = {"PCMU/8000": [_mu_sample(n) for n in range(256)], "PCMA/8000": [_a_sample(n) for n in range(256)]}
_ENCODE = {"PCMU/8000": _mu_byte, "PCMA/8000": _a_byte}
CODECS = tuple(_DECODE)
"""Names as SDP writes them."""


def encode(codec: str, pcm: bytes) -> bytes:
    """PCM to G.711."""
    convert = _ENCODE[codec.upper()]
    return bytes(convert(sample) for sample in array("h", pcm))


def decode(codec: str, data: bytes) -> bytes:
    """G.711 to PCM."""
    table = _DECODE[codec.upper()]
    return array("h", (table[byte] for byte in data)).tobytes()
