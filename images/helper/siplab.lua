-- What the lab wants to know of a capture, one JSON object per line on stdout: SIP messages as bytes (decrypted, reassembled), facts on TLS
-- records, DNS messages and the lab's own marker frames. Facts only: what they mean is decided in lab/evidence, where it is tested.
--   tshark … -X lua_script:/usr/lib/siplab/siplab.lua -X lua_script1:5060,5061
-- Wireshark loads no Lua for root: run it as nobody.

local ports = (...):gsub("%s", "")
local stray = "!sip && ((udp.port in {" .. ports .. "}) || (tcp.port in {" .. ports .. "} && !tls && tcp.payload[0:2] == 0d:0a))"

local fields = {}
local function field(name)
  fields[name] = Field.new(name)
  return fields[name]
end
for _, name in ipairs({
  "frame.number", "frame.interface_id", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.payload", "tcp.srcport", "tcp.dstport", "tcp.stream", "tcp.payload",
  "sip", "syslog.msg", "tls.record.content_type", "tls.record.opaque_type", "tls.handshake.type", "tls.handshake.extensions_server_name",
  "tls.alert_message.level", "tls.alert_message.desc", "x509ce.dNSName", "x509ce.uniformResourceIdentifier",
  "dns.id", "dns.flags.response", "dns.flags.rcode", "dns.qry.name", "dns.qry.type",
}) do field(name) end

local function quoted(text)
  return '"' .. tostring(text):gsub('[%c"\\\127-\255]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

local function first(name)
  local info = fields[name]()
  return info and info.value
end

local function list(name, as)
  local values = {}
  for _, info in ipairs({ fields[name]() }) do values[#values + 1] = as(info) end
  return "[" .. table.concat(values, ",") .. "]"
end

local function number(info) return string.format("%d", info.value) end
local function text(info) return quoted(info.value) end
local function hex(info) return '"' .. info.range:bytes():tohex(true) .. '"' end

local function head(kind, pinfo, transport)
  local source = first("ip.src") or first("ipv6.src")
  local target = first("ip.dst") or first("ipv6.dst")
  local layer = fields["tcp.srcport"]() and "tcp" or "udp"
  return string.format('{"kind":"%s","frame":%d,"interface":%d,"time":%.6f,"src":%s,"sport":%d,"dst":%s,"dport":%d,"transport":"%s"', kind, pinfo.number,
    first("frame.interface_id") or 0, pinfo.abs_ts, quoted(source or ""), first(layer .. ".srcport") or 0, quoted(target or ""), first(layer .. ".dstport") or 0, transport or layer)
end

local function emit(line)
  io.write(line, "}\n")
  io.flush()
end

local function listen(filter, packet)
  Listener.new("frame", filter).packet = packet
end

listen("syslog", function(pinfo)
  emit(head("mark", pinfo) .. ',"text":' .. quoted(first("syslog.msg") or ""))
end)

listen("sip", function(pinfo)
  local secure = fields["tls.record.content_type"]() or fields["tls.record.opaque_type"]()
  emit(head("sip", pinfo, secure and "tls" or nil) .. ',"raw":' .. list("sip", hex))
end)

listen(stray, function(pinfo)
  emit(head("stray", pinfo) .. ',"raw":' .. list(fields["tcp.srcport"]() and "tcp.payload" or "udp.payload", hex))
end)

listen("tls.record", function(pinfo)
  emit(head("tls", pinfo, "tls")
    .. ',"stream":' .. number(fields["tcp.stream"]())
    .. ',"types":' .. list("tls.record.content_type", number)
    .. ',"opaque":' .. list("tls.record.opaque_type", number)
    .. ',"handshake":' .. list("tls.handshake.type", number)
    .. ',"sni":' .. list("tls.handshake.extensions_server_name", text)
    .. ',"alerts":' .. list("tls.alert_message.desc", number)
    .. ',"levels":' .. list("tls.alert_message.level", number)
    .. ',"names":' .. list("x509ce.dNSName", text)
    .. ',"uris":' .. list("x509ce.uniformResourceIdentifier", text))
end)

listen("dns", function(pinfo)
  emit(head("dns", pinfo)
    .. ',"id":' .. (first("dns.id") or 0)
    .. ',"response":' .. tostring(first("dns.flags.response") == true)
    .. ',"rcode":' .. (first("dns.flags.rcode") or 0)
    .. ',"names":' .. list("dns.qry.name", text)
    .. ',"qtypes":' .. list("dns.qry.type", number))
end)
