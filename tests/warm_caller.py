"""Has a server begin a command: a program that stands for `aectl`, or `python`, in a script.

It loads little, since scripts run it for each of their commands.
"""

import array
import json
import os
import signal
import socket
import sys

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
MOST = 1 << 17
"""Bytes of the arguments and the environment of a command."""


def begin(path, words, folder, environment, streams):
    """Has the server at `path` begin a command; returns its number, and where its status comes.

    Of the first three streams, those that are None are closed in the command.
    """
    closed = [number for number, stream in enumerate(streams) if stream is None]
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    caller.connect(path)
    sent = array.array("i", [stream for stream in streams if stream is not None])
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)
    caller.sendmsg([json.dumps([words, folder, environment, closed]).encode()], [rights])
    return int(caller.recv(MOST)), caller


def is_open(number):
    try:
        return bool(os.fstat(number))
    except OSError:
        return False


if __name__ == "__main__":
    there = [number if is_open(number) else None for number in range(len(STREAMS))]
    pid, ending = begin(sys.argv[1], sys.argv[2:], os.getcwd(), dict(os.environ), there)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: os.kill(pid, number))
    status = int(ending.recv(MOST))
    sys.exit(status if status >= 0 else 128 - status)
