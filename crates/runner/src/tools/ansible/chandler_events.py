# Chandler's callback plugin for ansible-core: what Ansible does becomes events, and what it would have printed is the
# text of the event that printed it. What is printed outside of a callback (warnings, verbose lines) is an event too.
#
# One event is one line on standard output, a frame: a record separator, the head as JSON, a unit separator, the data as
# JSON. Both separators stand in no JSON text. Head and data are apart, and the names in the head are one letter long, so
# that a secret which is hidden in the line on its way can hardly tear the frame.

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid

from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.display import Display

DOCUMENTATION = """
name: chandler_events
type: stdout
short_description: Events for Chandler
description: Writes every event as a line of JSON.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

RECORD, UNIT = "\x1e", "\x1f"
# Characters of text that one event holds; a character is at most four bytes. The rest goes into events of its own.
TEXT_MAX = 256 * 1024
# Characters of a result that go along; of a longer one only its short parts do.
DATA_MAX = 512 * 1024
SHORT = 4096
MARK = " [the line goes on]"


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "chandler_events"

    def __init__(self):
        super().__init__()
        self._events_lock = threading.RLock()
        self._text = None
        self._playbook_uuid = self._play_uuid = self._current = None
        self._play_name = None
        # Id of a task in Ansible → how it was announced last. One id may be announced again: loops over roles do.
        self._announced = {}
        self._started = {}
        self._out = os.dup(sys.stdout.fileno())
        self._capture_display()

    def _capture_display(self):
        """Everything that Ansible shows goes through one object; its text is taken here."""
        display = Display()
        original = display.display
        plugin = self

        def show(msg, *args, **kwargs):
            if getattr(display, "_final_q", None):
                # A worker process: Ansible passes it on to the main one, which comes here again.
                return original(msg, *args, **kwargs)
            options = dict(zip(("color", "stderr", "screen_only", "log_only", "newline"), args), **kwargs)
            if options.get("log_only"):
                return None
            text = str(msg).replace("\r\n", "\n")
            if options.get("newline", True) and not text.endswith("\n"):
                text += "\n"
            with plugin._events_lock:
                if plugin._text is not None:
                    plugin._text.append(text)
                else:
                    plugin._emit(kind_of(text, options.get("stderr")), {}, text)
            return None

        display.display = show

    def _emit(self, event, data, text, parent=None, host=None, task=None, own=None, failed=False, changed=False):
        own = own or str(uuid.uuid4())
        task = task or {}
        head = {
            "e": event,
            "u": own,
            "p": parent,
            "h": host,
            "y": self._play_name,
            "k": task.get("name"),
            "r": task.get("role"),
            "f": 1 if failed else None,
            "c": 1 if changed else None,
        }
        first, *others = pieces(text)
        self._write(head, first, data)
        for piece in others:
            more = {"e": "verbose", "u": str(uuid.uuid4()), "p": own, "h": host, "y": head["y"], "k": head["k"]}
            self._write(more, piece, {})

    def _write(self, head, text, data):
        head = {key: value for key, value in head.items() if value is not None}
        head["t"] = text
        line = f"{RECORD}{as_json(head)}{UNIT}{bounded(data)}\n"
        try:
            # Bytes that are no text come as surrogates and leave as they came.
            encoded = line.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            encoded = line.encode("utf-8", "replace")
        with self._events_lock:
            # What was printed past this plugin came first.
            sys.stdout.flush()
            while encoded:
                encoded = encoded[os.write(self._out, encoded) :]

    def _printed(self, callback, *args, **kwargs):
        """Runs the default callback and returns what it printed."""
        self._text = []
        try:
            callback(*args, **kwargs)
            return "".join(self._text)
        finally:
            self._text = None

    # Plays and tasks -------------------------------------------------------------------------------------------------

    def v2_playbook_on_start(self, playbook):
        with self._events_lock:
            text = self._printed(super().v2_playbook_on_start, playbook)
            self._playbook_uuid = str(uuid.uuid4())
            name = os.path.basename(getattr(playbook, "_file_name", ""))
            self._emit("playbook_on_start", {"playbook": name}, text, own=self._playbook_uuid)

    def v2_playbook_on_play_start(self, play):
        with self._events_lock:
            # A play that goes through its hosts in batches begins once for each.
            self._play_uuid, self._current, self._play_name = str(uuid.uuid4()), None, play.get_name().strip()
            self._announced.clear()
            self._started.clear()
            text = self._printed(super().v2_playbook_on_play_start, play)
            data = {"play_uuid": self._play_uuid, "play_pattern": pattern(play.hosts)}
            self._emit("playbook_on_play_start", data, text, parent=self._playbook_uuid, own=self._play_uuid)

    def v2_playbook_on_no_hosts_matched(self):
        with self._events_lock:
            text = self._printed(super().v2_playbook_on_no_hosts_matched)
            self._emit("playbook_on_no_hosts_matched", {}, text, parent=self._play_uuid)

    def v2_playbook_on_no_hosts_remaining(self):
        with self._events_lock:
            text = self._printed(super().v2_playbook_on_no_hosts_remaining)
            self._emit("playbook_on_no_hosts_remaining", {}, text, parent=self._play_uuid)

    def _begin_task(self, callback, task, *args, handler=False):
        with self._events_lock:
            role = getattr(task, "_role", None)
            about = {
                "uuid": str(uuid.uuid4()),
                "name": task.get_name().strip(),
                "role": role.get_name() if role else None,
            }
            self._announced[str(task._uuid)] = self._current = about
            text = self._printed(callback, task, *args)
            data = {"task_uuid": about["uuid"], "task_action": str(task.action), "task_path": task.get_path()}
            if handler:
                data["handler"] = True
            self._emit("playbook_on_task_start", data, text, parent=self._play_uuid, task=about, own=about["uuid"])

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begin_task(super().v2_playbook_on_task_start, task, is_conditional)

    def v2_playbook_on_cleanup_task_start(self, task):
        self._begin_task(super().v2_playbook_on_cleanup_task_start, task)

    def v2_playbook_on_handler_task_start(self, task):
        self._begin_task(super().v2_playbook_on_handler_task_start, task, handler=True)

    def v2_playbook_on_include(self, included_file):
        with self._events_lock:
            task = self._task_of(getattr(included_file, "_task", None))
            text = self._printed(super().v2_playbook_on_include, included_file)
            data = {"included_file": str(getattr(included_file, "_filename", ""))}
            self._emit("playbook_on_include", data, text, parent=task.get("uuid"), task=task)

    def v2_playbook_on_notify(self, handler, host):
        with self._events_lock:
            text = self._printed(super().v2_playbook_on_notify, handler, host)
            task, data = self._current or {}, {"handler": handler.get_name()}
            self._emit("playbook_on_notify", data, text, parent=task.get("uuid"), host=str(host), task=task)

    def v2_playbook_on_stats(self, stats):
        with self._events_lock:
            text = self._printed(super().v2_playbook_on_stats, stats)
            names = ("ok", "changed", "dark", "failures", "skipped", "processed", "rescued", "ignored")
            data = {name: dict(getattr(stats, name, {})) for name in names}
            self._emit("playbook_on_stats", data, text, parent=self._playbook_uuid)

    def _handle_warnings_and_exception(self, result):
        # ansible-core 2.19 prints the message of a failure even if it must not be logged.
        if "censored" not in contents(result):
            super()._handle_warnings_and_exception(result)

    # Results ---------------------------------------------------------------------------------------------------------

    def _task_of(self, task):
        return self._announced.get(str(getattr(task, "_uuid", None)), self._current) or {}

    def _result(self, event, callback, result, failed=False, **kwargs):
        with self._events_lock:
            host, of = name_of(result), getattr(result, "task", None) or getattr(result, "_task", None)
            task = self._task_of(of)
            # Printing takes parts of the result away.
            res = contents(result)
            text = self._printed(callback, result, **kwargs)
            data = {"res": res}
            started = self._started.get((host, str(getattr(of, "_uuid", None))))
            if started is not None:
                data["duration"] = round(time.monotonic() - started, 6)
            if kwargs.get("ignore_errors"):
                data["ignore_errors"] = True
            flags = {"failed": failed, "changed": res.get("changed") is True}
            self._emit(event, data, text, parent=task.get("uuid"), host=host, task=task, **flags)

    def v2_runner_on_start(self, host, task):
        with self._events_lock:
            about, name = self._task_of(task), host.get_name()
            self._started[(name, str(task._uuid))] = time.monotonic()
            text = self._printed(super().v2_runner_on_start, host, task)
            self._emit("runner_on_start", {}, text, parent=about.get("uuid"), host=name, task=about)

    def v2_runner_on_ok(self, result):
        self._result("runner_on_ok", super().v2_runner_on_ok, result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        callback, failed = super().v2_runner_on_failed, not ignore_errors
        self._result("runner_on_failed", callback, result, failed, ignore_errors=ignore_errors)

    def v2_runner_on_skipped(self, result):
        self._result("runner_on_skipped", super().v2_runner_on_skipped, result)

    def v2_runner_on_unreachable(self, result):
        task = getattr(result, "task", None) or getattr(result, "_task", None)
        failed = not getattr(task, "ignore_unreachable", False)
        self._result("runner_on_unreachable", super().v2_runner_on_unreachable, result, failed)

    def v2_runner_retry(self, result):
        self._result("runner_retry", super().v2_runner_retry, result)

    def v2_runner_item_on_ok(self, result):
        self._result("runner_item_on_ok", super().v2_runner_item_on_ok, result)

    def v2_runner_item_on_failed(self, result):
        task = getattr(result, "task", None) or getattr(result, "_task", None)
        failed = getattr(task, "ignore_errors", None) is not True
        self._result("runner_item_on_failed", super().v2_runner_item_on_failed, result, failed)

    def v2_runner_item_on_skipped(self, result):
        self._result("runner_item_on_skipped", super().v2_runner_item_on_skipped, result)

    def v2_runner_on_async_poll(self, result):
        self._result("runner_on_async_poll", super().v2_runner_on_async_poll, result)

    def v2_runner_on_async_ok(self, result):
        self._result("runner_on_async_ok", super().v2_runner_on_async_ok, result)

    def v2_runner_on_async_failed(self, result):
        self._result("runner_on_async_failed", super().v2_runner_on_async_failed, result)

    def v2_on_file_diff(self, result):
        with self._events_lock:
            text = self._printed(super().v2_on_file_diff, result)
            if text:
                task = self._task_of(getattr(result, "task", None) or getattr(result, "_task", None))
                host = name_of(result)
                self._emit("runner_on_file_diff", {}, text, parent=task.get("uuid"), host=host, task=task)


def name_of(result):
    host = getattr(result, "host", None) or getattr(result, "_host", None)
    return host.get_name() if host is not None else None


def contents(result):
    """The result of a task; what it must not log has been taken out by Ansible before a callback sees it."""
    found = getattr(result, "result", None)
    if found is None:
        found = getattr(result, "_result", {})
    return {str(key): value for key, value in dict(found).items() if not str(key).startswith("_ansible_")}


def pattern(hosts):
    return ",".join(str(host) for host in hosts) if isinstance(hosts, (list, tuple)) else str(hosts)


def kind_of(text, stderr):
    """The event of text that is printed outside of a callback; Ansible says it by how such text begins."""
    shown = text.lstrip()
    for mark, event in (("[WARNING]", "warning"), ("[DEPRECATION WARNING]", "deprecated"), ("[ERROR]", "error")):
        if shown.startswith(mark):
            return event
    return "error" if stderr else "verbose"


def as_json(value):
    """Anything that JSON cannot say becomes text."""
    text = json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
    if "NaN" in text or "Infinity" in text:
        # Python writes such numbers and nobody else reads them.
        again = json.loads(text, parse_constant=str)
        text = json.dumps(again, ensure_ascii=False, separators=(",", ":"))
    return text


def bounded(data):
    try:
        text = as_json(data)
        if len(text) <= DATA_MAX:
            return text
        note = "The result is too long to be kept whole: only its short parts are."
    except (TypeError, ValueError, RecursionError):
        note = "The result cannot be written as JSON: only its simple parts are kept."
    short = {"note": note}
    for key, value in data.get("res", {}).items():
        if isinstance(value, str):
            short[key] = str(value[:SHORT])
        elif isinstance(value, (bool, int)):
            short[key] = value
    text = as_json({"res": short})
    return text if len(text) <= DATA_MAX else as_json({"res": {"note": note}})


def pieces(text):
    """The text in parts that one event can hold, cut where a line ends if one does."""
    parts = []
    while len(text) > TEXT_MAX:
        end = text.rfind("\n", 0, TEXT_MAX) + 1
        parts.append(text[:end] if end else text[:TEXT_MAX] + MARK)
        text = text[end or TEXT_MAX :]
    if text or not parts:
        parts.append(text)
    return parts
