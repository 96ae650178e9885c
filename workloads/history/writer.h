// The recorder: one a writer (one client thread, or one simulated client). Thread-compatible: callers that share one
// must serialise. Records are buffered and leave as checksummed blocks when the buffer is full or `flush_interval`
// has passed since the last block, judged by the records' own times, so the simulated world stays deterministic.
//
// A recorder never fails an append: the first error of its sink sticks, and status(), flush() and close() return it.
// A workload must look at status() now and then and end the trial when it is bad: a history with holes judges nothing.
//
// If the process dies, up to one interval of records is lost. That is safe for every verdict: sends without an
// invoke in a file that was not closed are treated as unknown, not as values nobody sent (see value_first/stride).
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "workloads/history/history.h"

namespace ordeal::history {

// Where finished blocks go.
class Sink {
 public:
  virtual ~Sink() = default;
  // `side` holds what was added since the last block, already with ids. `last` is set on the closing block.
  virtual Status write_block(std::span<const Record> records, const std::vector<std::uint8_t>& side, bool last) = 0;
};

struct RecorderOptions {
  std::size_t block_records = 4096;  // at most 1 << 20
  Duration flush_interval = std::chrono::milliseconds(200);
};

class Recorder {
 public:
  // Creates `path` (must not exist: histories are never overwritten) and writes the header at once.
  static Result<std::unique_ptr<Recorder>> create(const std::string& path, Header header, RecorderOptions options = {});
  // Keeps everything in memory; take it out with to_memory().
  static std::unique_ptr<Recorder> in_memory(Header header);

  ~Recorder();  // flushes, but does not mark the file closed: only close() does
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  const Header& header() const { return header_; }
  // The n-th value id of this writer: value_first + n * value_stride. Ids must be sent in this order.
  std::uint64_t value_id(std::uint64_t n) const { return header_.value_first + n * header_.value_stride; }

  void append(const Record& record);

  // Shorthands; `now` is the Env's monotonic clock, taken just before the call or just after its return.
  void send_invoke(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value);
  // `epoch`: leader epoch the append was acknowledged under, if the client knows it. offset -1: acknowledged without
  // one.
  void send_ok(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value, Offset offset,
               LeaderEpoch epoch = kNoEpoch);
  // Only for errors that prove that nothing was and will be appended; everything else is send_info.
  void send_fail(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value, const ErrorDetail& why);
  void send_info(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value, const ErrorDetail& why);
  void poll_invoke(Instant now, std::uint16_t process);
  void read(Instant now, std::uint16_t process, std::uint16_t object, Offset offset, std::uint64_t value,
            LeaderEpoch epoch = kNoEpoch);
  void read_foreign(Instant now, std::uint16_t process, std::uint16_t object, Offset offset, const ForeignPayload& what,
                    LeaderEpoch epoch = kNoEpoch);
  void poll_done(Instant now, std::uint16_t process, Type type, std::int64_t records, const ErrorDetail* why = nullptr);
  void list_end_invoke(Instant now, std::uint16_t process, std::uint16_t object);
  void list_end_ok(Instant now, std::uint16_t process, std::uint16_t object, Offset end, LeaderEpoch epoch = kNoEpoch);
  void list_end_failed(Instant now, std::uint16_t process, std::uint16_t object, const ErrorDetail& why);
  void assign(Instant now, std::uint16_t process, std::uint16_t object, Offset position);
  void audit(Instant now, std::uint16_t process, std::uint16_t object, Offset offset, std::uint64_t value,
             LeaderEpoch epoch);
  void audit_foreign(Instant now, std::uint16_t process, std::uint16_t object, Offset offset,
                     const ForeignPayload& what, LeaderEpoch epoch);
  void audit_start(Instant now, std::uint16_t process, std::uint16_t object, Offset log_start);
  // proven: everything in [log start, position) was read and position is the proven end. Otherwise position is how far
  // the auditor came (it read everything below it) and `why` says what stopped it.
  void audit_end(Instant now, std::uint16_t process, std::uint16_t object, Offset position, bool proven,
                 const ErrorDetail* why = nullptr);

  std::uint16_t error_id(const ErrorDetail& error);         // interned: equal details share an id
  std::uint16_t foreign_id(const ForeignPayload& payload);  // not interned
  void audit_batch(const AuditBatch& batch);
  void producer_reset(const ProducerReset& reset);
  void note(std::string text);

  Status flush();  // writes what is buffered; to the kernel, no fsync
  Status close();  // flushes and marks the end; idempotent, nothing may be appended after it
  const Status& status() const { return status_; }
  std::uint64_t records() const { return records_; }

  // For in_memory() only; ORDEAL_CHECKs otherwise. Counts as closed. Leaves the recorder empty.
  FileView to_memory();

 private:
  struct PendingSide;
  Recorder(Header header, std::unique_ptr<Sink> sink, RecorderOptions options);
  std::uint16_t next_detail();
  Status write_out(bool last);

  Header header_;
  std::unique_ptr<Sink> sink_;  // null for in_memory()
  RecorderOptions options_;
  std::vector<Record> buffer_;
  std::unique_ptr<PendingSide> pending_;
  std::map<ErrorDetail, std::uint16_t> error_ids_;
  std::uint32_t last_detail_ = 0;
  std::uint64_t last_flush_ns_ = 0;
  std::uint64_t records_ = 0;
  bool closed_ = false;
  Status status_;
};

}  // namespace ordeal::history
