"""Remote write's messages by protobuf itself, from a description of our own: the oracle of the encoder."""

from __future__ import annotations

from typing import Any, Final

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["read"]

_FIELD: Final = descriptor_pb2.FieldDescriptorProto

# Name: the fields with their numbers and types, as in prompb/remote.proto and prompb/types.proto.
_MESSAGES: Final[dict[str, list[tuple[str, int, int, str]]]] = {
    "Label": [("name", 1, _FIELD.TYPE_STRING, ""), ("value", 2, _FIELD.TYPE_STRING, "")],
    "Sample": [("value", 1, _FIELD.TYPE_DOUBLE, ""), ("timestamp", 2, _FIELD.TYPE_INT64, "")],
    "TimeSeries": [("labels", 1, _FIELD.TYPE_MESSAGE, "Label"), ("samples", 2, _FIELD.TYPE_MESSAGE, "Sample")],
    "WriteRequest": [("timeseries", 1, _FIELD.TYPE_MESSAGE, "TimeSeries")],
}


def _write_request() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, other in fields:
            label = _FIELD.LABEL_REPEATED if other else _FIELD.LABEL_OPTIONAL
            type_name = f".prometheus.{other}" if other else None
            message.field.add(name=field, number=number, type=kind, label=label, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


_WriteRequest: Final = _write_request()


def read(content: bytes) -> list[tuple[list[tuple[str, str]], list[tuple[float, int]]]]:
    """Return the series of a request as it is sent: their labels and their samples."""
    message = _WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(content)))
    return [
        (
            [(label.name, label.value) for label in series.labels],
            [(sample.value, sample.timestamp) for sample in series.samples],
        )
        for series in message.timeseries
    ]
