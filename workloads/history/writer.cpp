// Recorder and its file sink. A block leaves in one writev-sized write, so a killed process leaves a clean prefix or
// one torn block at the end, never a hole.
#include "workloads/history/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "broker/base/check.h"
#include "workloads/history/codec.h"

namespace ordeal::history {
namespace {

Error io_error(const std::string& path, const char* what) {
  const Errc code = errno == ENOSPC ? Errc::no_space : errno == EEXIST ? Errc::already_exists : Errc::io;
  return {code, fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

class FileSink final : public Sink {
 public:
  FileSink(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~FileSink() override { ::close(fd_); }

  Status write_all(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t done = ::write(fd_, bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return fail(io_error(path_, "cannot append to the history"));
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
    return {};
  }

  Status write_block(std::span<const Record> records, const std::vector<std::uint8_t>& side, bool last) override {
    codec::BlockHeader head;
    head.sequence = sequence_++;
    head.record_count = static_cast<std::uint32_t>(records.size());
    head.side_bytes = static_cast<std::uint32_t>(side.size());
    head.flags = last ? codec::kFlagLast : 0;
    block_.assign(codec::padded(sizeof head + head.body_bytes()), 0);
    if (!records.empty()) std::memcpy(block_.data() + sizeof head, records.data(), records.size_bytes());
    if (!side.empty()) std::memcpy(block_.data() + sizeof head + records.size_bytes(), side.data(), side.size());
    head.body_crc = crc32c(ByteView(block_).subspan(sizeof head, head.body_bytes()));
    head.header_crc = head.compute_crc();
    std::memcpy(block_.data(), &head, sizeof head);
    return write_all(block_);
  }

 private:
  int fd_;
  std::string path_;
  std::uint32_t sequence_ = 0;
  Bytes block_;
};

Record make(Instant now, Function function, Type type, std::uint16_t process, std::uint16_t object) {
  Record record;
  record.time_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
  record.function = function;
  record.type = type;
  record.process = process;
  record.object = object;
  return record;
}

}  // namespace

struct Recorder::PendingSide : codec::SideBatch {};

Recorder::Recorder(Header header, std::unique_ptr<Sink> sink, RecorderOptions options)
    : header_(std::move(header)), sink_(std::move(sink)), options_(options), pending_(std::make_unique<PendingSide>()) {
  ORDEAL_CHECK(options_.block_records > 0 && options_.block_records <= codec::kMaxBlockRecords, "block of {} records",
               options_.block_records);
  ORDEAL_CHECK(header_.objects.size() < kNoObject, "{} topic-partitions are too many", header_.objects.size());
  if (sink_) buffer_.reserve(options_.block_records);
}

Result<std::unique_ptr<Recorder>> Recorder::create(const std::string& path, Header header, RecorderOptions options) {
  // The header appears under the final name whole or not at all: a file without one says nothing about its writer.
  const std::string fresh = path + ".new";
  if (::access(path.c_str(), F_OK) == 0) {
    errno = EEXIST;
    return fail(io_error(path, "a history is never overwritten"));
  }
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return fail(io_error(fresh, "cannot create the history"));
  auto sink = std::make_unique<FileSink>(fd, path);
  ORDEAL_TRY(sink->write_all(codec::encode_file_header(header)));
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return fail(io_error(path, "cannot name the history"));
  return std::unique_ptr<Recorder>(new Recorder(std::move(header), std::move(sink), options));
}

std::unique_ptr<Recorder> Recorder::in_memory(Header header) {
  return std::unique_ptr<Recorder>(new Recorder(std::move(header), nullptr, {}));
}

Recorder::~Recorder() {
  // Best effort: a recorder that is dropped without close() leaves a file that says so (not closed), which is a note.
  if (sink_ && !closed_) static_cast<void>(flush());
}

void Recorder::append(const Record& record) {
  ORDEAL_CHECK(!closed_, "append to the closed history of {}", header_.writer);
  const char* problem = codec::record_problem(record, header_.objects.size());
  ORDEAL_CHECK(problem == nullptr, "{} recorded a {} with {}", header_.writer, function_name(record.function),
               problem == nullptr ? "" : problem);
  buffer_.push_back(record);
  ++records_;
  if (!sink_) return;
  if (last_flush_ns_ == 0) last_flush_ns_ = record.time_ns;
  const auto interval = static_cast<std::uint64_t>(options_.flush_interval.count());
  if (buffer_.size() >= options_.block_records || record.time_ns >= last_flush_ns_ + interval) {
    static_cast<void>(write_out(false));  // the error sticks in status_
    last_flush_ns_ = record.time_ns;
  }
}

void Recorder::send_invoke(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value) {
  Record record = make(now, Function::send, Type::invoke, process, object);
  record.set_value(value);
  append(record);
}

void Recorder::send_ok(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value, Offset offset,
                       LeaderEpoch epoch) {
  Record record = make(now, Function::send, Type::ok, process, object);
  record.set_value(value, epoch);
  record.offset = offset;
  append(record);
}

void Recorder::send_fail(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value,
                         const ErrorDetail& why) {
  Record record = make(now, Function::send, Type::fail, process, object);
  record.set_value(value);
  record.detail = error_id(why);
  append(record);
}

void Recorder::send_info(Instant now, std::uint16_t process, std::uint16_t object, std::uint64_t value,
                         const ErrorDetail& why) {
  Record record = make(now, Function::send, Type::info, process, object);
  record.set_value(value);
  record.detail = error_id(why);
  append(record);
}

void Recorder::poll_invoke(Instant now, std::uint16_t process) {
  append(make(now, Function::poll, Type::invoke, process, kNoObject));
}

void Recorder::read(Instant now, std::uint16_t process, std::uint16_t object, Offset offset, std::uint64_t value,
                    LeaderEpoch epoch) {
  Record record = make(now, Function::read, Type::ok, process, object);
  record.offset = offset;
  record.set_value(value, epoch);
  append(record);
}

void Recorder::read_foreign(Instant now, std::uint16_t process, std::uint16_t object, Offset offset,
                            const ForeignPayload& what, LeaderEpoch epoch) {
  Record record = make(now, Function::read, Type::ok, process, object);
  record.offset = offset;
  record.set_value(kForeignValue, epoch);
  record.detail = foreign_id(what);
  append(record);
}

void Recorder::poll_done(Instant now, std::uint16_t process, Type type, std::int64_t records, const ErrorDetail* why) {
  Record record = make(now, Function::poll, type, process, kNoObject);
  record.offset = records;
  if (why != nullptr) record.detail = error_id(*why);
  append(record);
}

void Recorder::list_end_invoke(Instant now, std::uint16_t process, std::uint16_t object) {
  append(make(now, Function::list_end, Type::invoke, process, object));
}

void Recorder::list_end_ok(Instant now, std::uint16_t process, std::uint16_t object, Offset end, LeaderEpoch epoch) {
  Record record = make(now, Function::list_end, Type::ok, process, object);
  record.offset = end;
  record.set_value(kNoValue, epoch);
  append(record);
}

void Recorder::list_end_failed(Instant now, std::uint16_t process, std::uint16_t object, const ErrorDetail& why) {
  Record record = make(now, Function::list_end, Type::info, process, object);
  record.detail = error_id(why);
  append(record);
}

void Recorder::assign(Instant now, std::uint16_t process, std::uint16_t object, Offset position) {
  Record record = make(now, Function::assign, Type::ok, process, object);
  record.offset = position;
  append(record);
}

void Recorder::audit(Instant now, std::uint16_t process, std::uint16_t object, Offset offset, std::uint64_t value,
                     LeaderEpoch epoch) {
  Record record = make(now, Function::audit, Type::ok, process, object);
  record.offset = offset;
  record.set_value(value, epoch);
  append(record);
}

void Recorder::audit_foreign(Instant now, std::uint16_t process, std::uint16_t object, Offset offset,
                             const ForeignPayload& what, LeaderEpoch epoch) {
  Record record = make(now, Function::audit, Type::ok, process, object);
  record.offset = offset;
  record.set_value(kForeignValue, epoch);
  record.detail = foreign_id(what);
  append(record);
}

void Recorder::audit_start(Instant now, std::uint16_t process, std::uint16_t object, Offset log_start) {
  Record record = make(now, Function::audit_start, Type::ok, process, object);
  record.offset = log_start;
  append(record);
}

void Recorder::audit_end(Instant now, std::uint16_t process, std::uint16_t object, Offset position, bool proven,
                         const ErrorDetail* why) {
  Record record = make(now, Function::audit_end, proven ? Type::ok : Type::info, process, object);
  record.offset = position;
  if (why != nullptr) record.detail = error_id(*why);
  append(record);
}

std::uint16_t Recorder::next_detail() {
  if (last_detail_ + 1 < kDetailOverflow) return static_cast<std::uint16_t>(++last_detail_);
  return kDetailOverflow;
}

std::uint16_t Recorder::error_id(const ErrorDetail& error) {
  const auto known = error_ids_.find(error);
  if (known != error_ids_.end()) return known->second;
  const std::uint16_t id = next_detail();
  if (id == kDetailOverflow) {
    pending_->errors.emplace_back(id,
                                  ErrorDetail{"TOO_MANY_DETAILS", 0, "the writer ran out of detail ids", false, ""});
    return id;
  }
  error_ids_.emplace(error, id);
  pending_->errors.emplace_back(id, error);
  return id;
}

std::uint16_t Recorder::foreign_id(const ForeignPayload& payload) {
  const std::uint16_t id = next_detail();
  pending_->foreign.emplace_back(id, payload);  // past the last id the newest stands for all: the reads themselves stay
  return id;
}

void Recorder::audit_batch(const AuditBatch& batch) { pending_->batches.push_back(batch); }
void Recorder::producer_reset(const ProducerReset& reset) { pending_->resets.push_back(reset); }
void Recorder::note(std::string text) { pending_->notes.push_back(std::move(text)); }

Status Recorder::write_out(bool last) {
  if (!status_.has_value() || !sink_) return status_;
  if (buffer_.empty() && pending_->empty() && !last) return status_;
  const Bytes side = codec::encode_side(*pending_);
  status_ = sink_->write_block(buffer_, side, last);
  buffer_.clear();
  static_cast<codec::SideBatch&>(*pending_) = {};
  return status_;
}

Status Recorder::flush() {
  if (closed_) return status_;
  return write_out(false);
}

Status Recorder::close() {
  if (closed_) return status_;
  const Status done = write_out(true);
  closed_ = true;
  return done;
}

FileView Recorder::to_memory() {
  ORDEAL_CHECK(sink_ == nullptr, "{} records to a file", header_.writer);
  FileView view;
  view.name = "memory:" + header_.writer;
  view.header = header_;
  view.closed = true;
  codec::add_side(std::move(*pending_), view.side);
  static_cast<codec::SideBatch&>(*pending_) = {};
  auto records = std::make_shared<std::vector<Record>>(std::move(buffer_));
  buffer_ = {};
  if (!records->empty()) view.blocks.emplace_back(*records);
  view.storage = std::move(records);
  return view;
}

}  // namespace ordeal::history
