// Byte streams between endpoints: TCP in the real world, seeded and faulty in simulation.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"
#include "broker/env/task.h"

namespace ordeal::env {

// One connection. At most one read and one write may be outstanding at a time. After close() (or a reset by the
// peer, or a kill) outstanding and later calls return Errc::closed or Errc::unreachable; they never hang for ever
// on a closed stream. A partition looks like silence: reads just wait.
class Stream {
 public:
  virtual ~Stream() = default;  // closes
  // At least one byte, or an error; Errc::closed at the peer's orderly end.
  virtual Task<Result<std::size_t>> read_some(MutableByteView buffer) = 0;
  // All of the parts in order, or an error (some bytes may then have left). The views must outlive the call.
  virtual Task<Status> write(std::span<const ByteView> parts) = 0;
  virtual void close() = 0;
  virtual Endpoint peer() const = 0;
  virtual Endpoint local() const = 0;

  Task<Status> write_all(ByteView bytes);
  Task<Status> read_exact(MutableByteView buffer);  // fills the buffer, or an error
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;  // Errc::closed after close()
  virtual void close() = 0;
  virtual Endpoint local() const = 0;  // with the real port when 0 was asked for
};

class Network {
 public:
  virtual ~Network() = default;
  virtual Result<std::unique_ptr<Listener>> listen(Endpoint at) = 0;
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, Instant deadline) = 0;
};

}  // namespace ordeal::env
