// From a decoded header to a reply: one handler an API, found by its key; the version decides the encoding.
#pragma once

#include <optional>
#include <string>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/server/services.h"
#include "broker/wire/api.h"

namespace ordeal::server {

struct Request {
  wire::RequestHeader header;
  const wire::ApiVersionRange* api = nullptr;  // never null here
  Slice body;
  std::string listener;  // which one it came in on: CLIENT or REPLICATION
  Endpoint peer;
};

// A frame to send; nullopt: nothing is to be sent (acks=0). An error closes the connection: bytes that are no request,
// or a version that has no answer.
using Reply = Result<std::optional<Bytes>>;

// Takes effect on partitions before it first suspends, so that requests started in order append in order.
env::Task<Reply> dispatch(Services& services, Request request);

}  // namespace ordeal::server
