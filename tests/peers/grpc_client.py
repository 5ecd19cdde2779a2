"""A gRPC client made of grpcio and nothing of ours. Calls one method after the other and prints one JSON object: what came
of each.

Usage: grpc_client.py PORT CA CASE...
"""

import json
import queue
import sys
import threading

import grpc

port, ca, cases = sys.argv[1], sys.argv[2], sys.argv[3:]
channel = grpc.secure_channel(
    f"127.0.0.1:{port}",
    grpc.ssl_channel_credentials(open(ca, "rb").read()),
    options=[
        ("grpc.ssl_target_name_override", "app.test"),
        ("grpc.max_receive_message_length", 16 << 20),
        # What fails must be seen to fail.
        ("grpc.enable_retries", 0),
    ],
)
PATIENCE = 20


def method(kind, name):
    return getattr(channel, kind)(f"/test.Peer/{name}")


def metadata(pairs):
    return {name: value if isinstance(value, str) else value.hex() for name, value in pairs}


def unary():
    call = method("unary_unary", "Unary")
    answer, state = call.with_call(b"hello", timeout=PATIENCE, metadata=(("x-ask", "me"), ("x-ask-bin", b"\x01")))
    return {
        "answer": answer.decode(),
        "code": state.code().name,
        "initial": metadata(state.initial_metadata()),
        "trailing": metadata(state.trailing_metadata()),
    }


def large():
    message = bytes(range(256)) * (4 << 12)
    answer = method("unary_unary", "Unary")(message, timeout=PATIENCE)
    return {"bytes": len(answer), "same": answer == message}


def repeat():
    call = method("unary_stream", "Repeat")(b"300", timeout=PATIENCE)
    answers = [answer.decode() for answer in call]
    return {"first": answers[0], "count": len(answers), "trailing": metadata(call.trailing_metadata())}


def join():
    words = (b"word%d" % number for number in range(200))
    answer = method("stream_unary", "Join")(words, timeout=PATIENCE)
    return {"words": len(answer.split()), "last": answer.split()[-1].decode()}


def chat():
    """Each message is sent only after the answer to the one before has come."""
    say = queue.Queue()
    call = method("stream_stream", "Chat")(iter(say.get, None), timeout=PATIENCE)
    heard = []
    for word in (b"one", b"two", b"three"):
        say.put(word)
        heard.append(next(call).decode())
    say.put(None)
    return {"heard": heard, "rest": len(list(call)), "code": call.code().name}


def failing(name, request, kind="unary_unary", **more):
    try:
        answer = method(kind, name)(request, **({"timeout": PATIENCE} | more))
        answer = list(answer) if kind == "unary_stream" else answer
        return {"answer": repr(answer)}
    except grpc.RpcError as error:
        return {
            "code": error.code().name,
            "details": error.details(),
            "trailing": metadata(error.trailing_metadata() or ()),
        }


def fail():
    return {name: failing("Fail", name.encode()) for name in ("NOT_FOUND", "RESOURCE_EXHAUSTED", "DATA_LOSS")}


def missing():
    return failing("NoSuchMethod", b"")


def refused():
    return failing("Unary", b"hello") | {"streaming": failing("Repeat", b"3", "unary_stream")["code"]}


def deadline():
    return failing("Sleep", b"", timeout=1) | {"cancelled": origin_saw_cancelled(), "seen": last_seen()}


def patient():
    """No deadline of the client's own: what ends the call is the edge."""
    return failing("Sleep", b"", timeout=None) | {"cancelled": origin_saw_cancelled()}


def cancel():
    call = method("unary_stream", "Endless")(b"", timeout=PATIENCE)
    first = next(call).decode()
    call.cancel()
    return {"first": first, "code": call.code().name, "cancelled": origin_saw_cancelled()}


def many():
    """Calls at once over the one connection, unary and streaming."""
    results, lock = [], threading.Lock()

    def ask(number):
        text = b"%d" % number
        same = method("unary_unary", "Unary")(text, timeout=PATIENCE) == text
        same = same and len(list(method("unary_stream", "Repeat")(b"20", timeout=PATIENCE))) == 20
        with lock:
            results.append(same)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"well": sum(results)}


def origin_saw_cancelled():
    return method("unary_unary", "WaitForCancelled")(b"", timeout=2 * PATIENCE).decode()


def last_seen():
    return json.loads(method("unary_unary", "LastSeen")(b"", timeout=PATIENCE))


print(json.dumps({case: globals()[case]() for case in cases}))
