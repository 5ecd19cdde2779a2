"""A gRPC origin made of grpcio and nothing of ours. Prints `port N`, then serves until it is killed.

Messages are plain bytes, so no protoc is needed. Usage: grpc_origin.py [CERTIFICATE KEY]
"""

import json
import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)
seen = []


def end_of(context):
    """An event that is set when the call has ended, however."""
    ended = threading.Event()
    if not context.add_callback(ended.set):
        ended.set()
    return ended


def unary(request, context):
    sent = dict(context.invocation_metadata())
    seen.append({name: value for name, value in sent.items() if isinstance(value, str)})
    context.send_initial_metadata((("x-initial", sent.get("x-ask", "")),))
    context.set_trailing_metadata((("x-length", str(len(request))), ("x-raw-bin", b"\x00\xff")))
    return request


def repeat(request, context):
    for number in range(int(request)):
        yield b"message %d" % number
    context.set_trailing_metadata((("x-sent", request.decode()),))


def join(requests, context):
    return b" ".join(requests)


def chat(requests, context):
    for request in requests:
        yield b"you said " + request


def fail(request, context):
    context.set_trailing_metadata((("x-detail", "of the failure"),))
    code = {code.name: code for code in grpc.StatusCode}[request.decode()]
    context.abort(code, "not today: äöü %")


def sleep(request, context):
    seen.append({"time_remaining": context.time_remaining()})
    end_of(context).wait(60)
    cancelled.release()
    return b""


def endless(request, context):
    ended = end_of(context)
    yield b"first"
    ended.wait(60)
    cancelled.release()


def wait_for_cancelled(request, context):
    return b"yes" if cancelled.acquire(timeout=20) else b"no"


def last_seen(request, context):
    return json.dumps(seen[-1]).encode()


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
    "Endless": grpc.unary_stream_rpc_method_handler(endless),
    "WaitForCancelled": grpc.unary_unary_rpc_method_handler(wait_for_cancelled),
    "LastSeen": grpc.unary_unary_rpc_method_handler(last_seen),
}

server = grpc.server(
    futures.ThreadPoolExecutor(16),
    options=[("grpc.max_receive_message_length", 16 << 20), ("grpc.so_reuseport", 0)],
)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Peer", METHODS),))
if len(sys.argv) == 3:
    certificate, key = (open(file, "rb").read() for file in sys.argv[1:])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("port", port, flush=True)
server.wait_for_termination()
