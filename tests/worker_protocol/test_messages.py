"""The wire of the worker protocol is the platform's: names, numbers and kinds of every field."""

from __future__ import annotations

import subprocess
import sys

import pytest
from google.protobuf.descriptor import FieldDescriptor

from strait.worker_protocol import worker_pb2

# `contract/runs.md` §10. A number or a type that moves breaks workers that are out there.
_MESSAGES = {
    "WorkerMessage": "registration 1 message, heartbeat 2 message, task_result 3 message, "
    "log_line 4 message, ack 5 message",
    "ServerMessage": "task_assignment 1 message, cancel_task 2 message, ack 3 message",
    "WorkerRegistration": "worker_id 1 string, name 2 string, queues 3 string*, "
    "job_slugs 4 string*, sdk_version 5 string, sdk_language 6 string, hostname 7 string, "
    "slots_total 8 int32, slots_available 9 int32, in_flight_tasks 10 message*, "
    "metadata 11 message*",
    "InFlightTask": "run_id 1 string, status 2 string, error_message 3 string, "
    "output_json 4 bytes, assignment_id 5 string, attempt 6 int32",
    "TaskAssignment": "run_id 1 string, job_slug 2 string, queue 3 string, payload_json 4 bytes, "
    "timeout_secs 5 int32, run_token_jwt 6 string, hmac_signature 7 string, "
    "hmac_timestamp 8 string, metadata 9 message*, assignment_id 10 string, attempt 11 int32",
    "TaskResult": "run_id 1 string, status 2 string, output_json 3 bytes, error_message 4 string, "
    "duration_ms 5 int64, assignment_id 6 string, attempt 7 int32",
    "Heartbeat": "slots_available 1 int32, timestamp_unix 2 int64",
    "LogLine": "run_id 1 string, level 2 string, message 3 string, timestamp_unix_ms 4 int64",
    "CancelTask": "run_id 1 string, reason 2 string",
    "Acknowledged": "id 1 string",
}
_KINDS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_MESSAGE: "message",
}


def _told(name: str) -> str:
    fields = worker_pb2.DESCRIPTOR.message_types_by_name[name].fields
    return ", ".join(
        f"{field.name} {field.number} {_KINDS[field.type]}{'*' * field.is_repeated}"
        for field in fields
    )


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_message_has_the_fields_of_the_platform(name: str) -> None:
    assert _told(name) == _MESSAGES[name]


def test_there_is_no_other_message() -> None:
    assert set(worker_pb2.DESCRIPTOR.message_types_by_name) == set(_MESSAGES)


def test_the_service_is_that_of_the_platform() -> None:
    (service,) = worker_pb2.DESCRIPTOR.services_by_name.values()
    (method,) = service.methods
    assert service.full_name == "strait.worker.v1.WorkerService"
    assert (method.name, method.input_type.name, method.output_type.name) == (
        "StreamTasks",
        "WorkerMessage",
        "ServerMessage",
    )
    assert method.client_streaming
    assert method.server_streaming


def test_a_field_of_a_later_version_is_carried_past() -> None:
    later = worker_pb2.CancelTask(run_id="r").SerializeToString() + b"\x9a\x06\x03new"
    assert worker_pb2.CancelTask.FromString(later).run_id == "r"


def test_the_package_alone_imports_neither_grpc_nor_protobuf() -> None:
    code = (
        "import sys, strait.worker_protocol; "
        "sys.exit(any(name.startswith(('grpc', 'google.protobuf')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
