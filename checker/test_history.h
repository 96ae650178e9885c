// A small language for histories in tests: one line an event, every stamp its own nanosecond unless told otherwise.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checker/check.h"
#include "workloads/history/reader.h"
#include "workloads/history/writer.h"

namespace ordeal::checker::testing {

class Script {
 public:
  explicit Script(std::uint16_t partitions = 2, std::map<std::string, std::string> config = {}) {
    history::Header header;
    header.run_id = "test";
    header.writer = "client";
    header.config = std::move(config);
    for (std::uint16_t p = 0; p < partitions; ++p) header.objects.push_back({"t", p});
    recorder_ = history::Recorder::in_memory(std::move(header));
  }

  history::Recorder& recorder() { return *recorder_; }
  Instant now() { return Instant(Duration(clock_ += 1'000'000)); }
  void same_time() { clock_ -= 1'000'000; }

  Script& invoke(std::uint64_t value, std::uint16_t object = 0, std::uint16_t process = 1) {
    recorder_->send_invoke(now(), process, object, value);
    return *this;
  }
  Script& ok(std::uint64_t value, Offset offset, std::uint16_t object = 0, std::uint16_t process = 1) {
    recorder_->send_ok(now(), process, object, value, offset);
    return *this;
  }
  Script& send(std::uint64_t value, Offset offset, std::uint16_t object = 0, std::uint16_t process = 1) {
    return invoke(value, object, process).ok(value, offset, object, process);
  }
  Script& failed(std::uint64_t value, std::uint16_t object = 0, std::uint16_t process = 1) {
    recorder_->send_fail(now(), process, object, value, {"RECORD_TOO_LARGE", 10, "", false, "not_persisted"});
    return *this;
  }
  Script& info(std::uint64_t value, std::uint16_t object = 0, std::uint16_t process = 1,
               const history::ErrorDetail& why = {"REQUEST_TIMED_OUT", 7, "", true, ""}) {
    recorder_->send_info(now(), process, object, value, why);
    return *this;
  }
  // One poll of (offset, value) pairs from one partition.
  Script& poll(std::vector<std::pair<Offset, std::uint64_t>> records, std::uint16_t object = 0,
               std::uint16_t process = 9) {
    recorder_->poll_invoke(now(), process);
    const Instant done = now();
    for (const auto& [offset, value] : records) recorder_->read(done, process, object, offset, value);
    recorder_->poll_done(done, process, history::Type::ok, static_cast<std::int64_t>(records.size()));
    return *this;
  }
  Script& assign(Offset position, std::uint16_t object = 0, std::uint16_t process = 9) {
    recorder_->assign(now(), process, object, position);
    return *this;
  }
  Script& end(Offset answer, LeaderEpoch epoch, std::uint16_t object = 0, std::uint16_t process = 7) {
    recorder_->list_end_invoke(now(), process, object);
    recorder_->list_end_ok(now(), process, object, answer, epoch);
    return *this;
  }
  // The final read of one partition: what stands where, its start and its end.
  Script& audit(std::vector<std::pair<Offset, std::uint64_t>> records, Offset position, bool proven = true,
                std::uint16_t object = 0, Offset start = 0, LeaderEpoch epoch = 1) {
    recorder_->audit_start(now(), 20, object, start);
    for (const auto& [offset, value] : records) recorder_->audit(now(), 20, object, offset, value, epoch);
    recorder_->audit_end(now(), 20, object, position, proven);
    return *this;
  }
  Script& batch(Offset first, Offset last, ProducerId pid, ProducerEpoch epoch, std::int32_t sequence,
                LeaderEpoch leader = 1, bool crc_ok = true, std::uint16_t object = 0) {
    recorder_->audit_batch({object, first, last, leader, pid, epoch, sequence,
                            static_cast<std::uint32_t>(last - first + 1), history::ControlType::data, crc_ok});
    return *this;
  }

  history::History history() {
    std::vector<history::FileView> files;
    files.push_back(recorder_->to_memory());
    return *history::join(std::move(files));
  }
  Verdict judge(const Context& context = {}) { return *check(history(), context); }

 private:
  std::unique_ptr<history::Recorder> recorder_;
  std::int64_t clock_ = 0;
};

inline FaultEvent fault(std::uint64_t t, const std::string& event, const std::string& id, nlohmann::json body = {}) {
  if (body.is_null()) body = nlohmann::json::object();
  body["t"] = t;
  body["event"] = event;
  body["id"] = id;
  return {t, event, id, std::move(body)};
}

inline TraceEvent leader(std::uint64_t t, std::int32_t node, LeaderEpoch epoch, const std::string& isr = "1,2,3",
                         const std::string& topic = "t", std::int32_t partition = 0) {
  return {t,
          node,
          "partition.leader",
          {{"t", t},
           {"n", node},
           {"k", "partition.leader"},
           {"topic", topic},
           {"partition", partition},
           {"leader_epoch", epoch},
           {"partition_epoch", epoch},
           {"isr", isr}}};
}

}  // namespace ordeal::checker::testing
