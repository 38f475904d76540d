# A name server on loopback that answers as its names say, by UDP and TCP: right,
# wrong, late or never.
import socket, struct, sys, threading, time

port = int(sys.argv[1])
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", port))
tcp = socket.socket()
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(("127.0.0.1", port))
tcp.listen(8)
seen = {}

def name_of(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]])
        at += query[at] + 1
    return b".".join(labels).lower().decode(), at + 5

def record(kind, data, owner=b"\xc0\x0c", said=None):
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data) if said is None else said) + data

def wire(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"

def answer(query, by_tcp):
    name, end = name_of(query)
    kind = struct.unpack(">H", query[end - 4 : end - 2])[0]
    question, flags, records = query[12:end], 0x8180, []
    first = name.split(".")[0]
    seen[name, kind] = seen.get((name, kind), 0) + 1
    if name.endswith(".in-addr.arpa"):
        if name == "9.7.7.10.in-addr.arpa":
            records.append(record(12, wire("nine.old.corp")))
        else:
            flags |= 3
    elif not name.endswith(".old.corp"):
        flags |= 3
    elif first == "nobody":
        flags |= 3
    elif first == "broken":
        flags |= 2
    elif first == "late" and seen[name, kind] == 1:
        return None
    elif first == "other":
        question = wire("another.old.corp") + query[end - 4 : end]
        records.append(record(1, bytes([10, 6, 6, 6])))
    elif first == "loop":
        records.append(record(5, wire("loop.old.corp")))
    elif first == "liar":
        records.append(record(kind, bytes([10, 6, 6, 6]), said=65535))
    elif first == "short":
        return query[:2] + struct.pack(">HHHHH", 0x8180, 1, 200, 0, 0) + question
    elif first == "alias":
        records.append(record(5, wire("app.old.corp")))
        if kind == 1:
            records.append(record(1, bytes([10, 7, 7, 7]), wire("app.old.corp")))
    elif first == "large" and not by_tcp:
        flags |= 0x200
    elif first == "large" and kind == 1:
        records = [record(1, bytes([10, 8, n // 250, n % 250 + 1])) for n in range(4000)]
    elif kind == 1:
        records.append(record(1, bytes([10, 7, 7, 7])))
    elif kind == 28 and first == "both":
        records.append(record(28, bytes([0xFD] + [0] * 14 + [7])))
    head = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    return head + question + b"".join(records)

def serve_tcp():
    while True:
        client, _ = tcp.accept()
        try:
            while True:
                size = client.recv(2)
                if len(size) < 2:
                    break
                query = client.recv(struct.unpack(">H", size)[0])
                reply = answer(query, True)[:65535]
                client.sendall(struct.pack(">H", len(reply)) + reply)
        except OSError:
            pass
        client.close()

threading.Thread(target=serve_tcp, daemon=True).start()
print("ready", flush=True)
while True:
    query, source = udp.recvfrom(4096)
    reply = answer(query, False)
    if reply:
        udp.sendto(reply, source)
