"""What a fault makes of an answer: bytes, or silence."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from siplab_dns.faults import Fault

UDP_PLAIN = 512  # RFC 1035 §4.2.1
UDP_EDNS = 1232  # fits the IPv6 minimum MTU
TCP_MAX = 65535
_TTL = 1  # seconds: a lie is forgotten soon after its fault is lifted
_ELSEWHERE = "unrelated.siplab.example."
_ADDRESSES = {dns.rdatatype.A: "198.18.255.254", dns.rdatatype.AAAA: "2001:db8::ffff"}
_RCODES = {"nxdomain": dns.rcode.NXDOMAIN, "servfail": dns.rcode.SERVFAIL}


def limit(query: dns.message.Message, tcp: bool) -> int:
    """Bytes that the client takes (RFC 6891 §6.2.3), as far as we like to send them."""
    if tcp:
        return TCP_MAX
    return min(UDP_EDNS, max(UDP_PLAIN, query.payload)) if query.edns >= 0 else UDP_PLAIN


def to_wire(response: dns.message.Message, query: dns.message.Message, tcp: bool) -> bytes:
    """RFC 2181 §9: what is too long for UDP loses whole record sets, and says so if it is of the answer."""
    return response.to_wire(max_size=limit(query, tcp), prefer_truncation=True)


def lie(fault: Fault, query: dns.message.Message, truth: dns.message.Message, tcp: bool) -> bytes | None:
    """The answer to `query` as `fault` wants it, None for silence. `truth` is the right answer, ours to change."""
    kind = fault.kind
    if kind == "drop" or (kind == "truncate" and tcp and not fault.tcp):
        return None
    if kind == "delay" or (kind == "truncate" and tcp):
        return to_wire(truth, query, tcp)
    if kind == "wrong-id":
        return struct.pack("!H", query.id ^ 0xFFFF) + to_wire(truth, query, tcp)[2:]
    if kind == "ttl-zero":
        for rrset in (*truth.answer, *truth.authority, *truth.additional):
            rrset.ttl = 0
        return to_wire(truth, query, tcp)
    if kind == "oversized":
        _pad(truth, fault.size)
        return truth.to_wire(max_size=TCP_MAX)
    return to_wire(_invented(fault, query), query, tcp)


def _invented(fault: Fault, query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, our_payload=UDP_EDNS)
    question = query.question[0]
    if fault.kind == "lame":  # not authoritative, and the referral leads back up (RFC 1034 §4.3.1, a delegation to who knows nothing)
        response.authority.append(dns.rrset.from_text(".", _TTL, "IN", "NS", "lame.siplab.example."))
        return response
    response.set_rcode(_RCODES.get(fault.kind, dns.rcode.NOERROR))
    if fault.kind == "servfail":
        return response
    response.flags |= dns.flags.AA
    if fault.kind == "truncate":
        response.flags |= dns.flags.TC
    elif fault.kind == "cname-loop":
        other = dns.name.Name((b"loop", *question.name.labels))
        response.answer = [_record(question.name, "CNAME", str(other)), _record(other, "CNAME", str(question.name))]
    elif fault.kind == "wrong-question":
        response.question = [dns.rrset.RRset(dns.name.from_text(_ELSEWHERE), question.rdclass, question.rdtype)]
        response.answer = [_unrelated(question.rdtype)]
    elif fault.kind == "wrong-answer":
        response.answer = [_unrelated(question.rdtype)]
    response.answer.extend(fault.records)
    return response


def _unrelated(rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset:
    """A record of the type that was asked for, of a name that nobody asked about."""
    owner = dns.name.from_text(_ELSEWHERE)
    if rdtype == dns.rdatatype.SRV:
        return _record(owner, "SRV", f"0 0 5060 {_ELSEWHERE}")
    if rdtype == dns.rdatatype.NAPTR:
        return _record(owner, "NAPTR", f'1 1 "s" "SIP+D2U" "" _sip._udp.{_ELSEWHERE}')
    return _record(owner, "AAAA" if rdtype == dns.rdatatype.AAAA else "A", _ADDRESSES.get(rdtype, _ADDRESSES[dns.rdatatype.A]))


def _record(owner: dns.name.Name, rdtype: str, data: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(owner, _TTL, "IN", rdtype, data)


def _pad(response: dns.message.Message, size: int) -> None:
    """Fill the additional section with text up to about `size` bytes, at least that many."""
    owner = dns.name.from_text(_ELSEWHERE)
    missing = size - len(response.to_wire(max_size=TCP_MAX))
    texts = [f"{number:08d}{'x' * 192}" for number in range(max(0, -(-missing // 200)))]
    if texts:
        response.additional.append(dns.rrset.from_text_list(owner, _TTL, "IN", "TXT", texts))
