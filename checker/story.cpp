#include "checker/story.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::checker {

using history::Function;
using history::Type;

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string clock_text(std::uint64_t t_ns, std::uint64_t t0_ns) {
  const std::uint64_t ms = t_ns > t0_ns ? (t_ns - t0_ns) / 1000000 : 0;
  return fmt::format("{:02}:{:02}.{:03}", ms / 60000, ms / 1000 % 60, ms % 1000);
}

namespace {

std::string_view family(std::string_view kind) {
  if (kind == "proc.kill") return "kill";
  if (kind == "proc.pause") return "pause";
  if (kind == "proc.restart" || kind == "proc.term") return "restart";
  if (kind.starts_with("net.")) return "partition";
  if (kind == "node.power_cut" || kind == "node.crash") return "power cut";
  if (kind.starts_with("disk.")) return "disk fault";
  if (kind.starts_with("clock.")) return "clock fault";
  return "other fault";
}

std::string_view did(std::string_view kind) {
  const std::string_view of = family(kind);
  if (of == "kill") return "killed";
  if (of == "pause") return "paused";
  if (of == "restart") return "restarted";
  if (of == "partition") return "cut off";
  if (of == "power cut") return "lost power";
  return kind;
}

std::string epoch_text(LeaderEpoch epoch) { return epoch < 0 ? "" : fmt::format(" (epoch {})", epoch); }

std::string value_text(std::uint64_t value) {
  if (value == history::kForeignValue) return "bytes that are no value of this run";
  if (value == history::kNoValue) return "nothing";
  return fmt::format("value {}", value);
}

const Operation* find(const std::vector<Operation>& ops, Function function, Type type, std::uint64_t value) {
  for (const Operation& op : ops)
    if (op.function == function && op.type == type && (value == history::kNoValue || op.value == value)) return &op;
  return nullptr;
}

}  // namespace

std::string fault_text(const FaultSpan& fault, std::uint64_t t0_ns) {
  std::string who;
  for (const std::int32_t node : fault.nodes) who += fmt::format("{}n{}", who.empty() ? "" : ",", node);
  if (who.empty())
    for (const std::string& target : fault.targets) who += (who.empty() ? "" : ",") + target;
  std::string text =
      fmt::format("{} {} {}", who.empty() ? fault.id : who, did(fault.kind), clock_text(fault.begin_ns, t0_ns));
  if (fault.heal_ns > fault.begin_ns) text += " to " + clock_text(fault.heal_ns, t0_ns);
  return text;
}

std::string faults_in_words(const std::vector<FaultSpan>& faults) {
  std::vector<std::pair<std::string, std::uint64_t>> kinds;
  std::uint64_t total = 0;
  for (const FaultSpan& fault : faults) {
    if (!fault.acted()) continue;
    ++total;
    const std::string kind(family(fault.kind));
    auto known = std::ranges::find(kinds, kind, &std::pair<std::string, std::uint64_t>::first);
    if (known == kinds.end()) known = kinds.insert(kinds.end(), {kind, 0});
    ++known->second;
  }
  if (total == 0) return "no fault";
  std::string text;
  for (const auto& [kind, count] : kinds)
    text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", count, kind, count == 1 ? "" : "s");
  return fmt::format("{} fault{} ({})", total, total == 1 ? "" : "s", text);
}

namespace {

class Teller {
 public:
  Teller(const StoryTeller& with, const Finding& finding, Violation& out)
      : with_(with), finding_(finding), out_(out), name_(with.index.partitions[finding.object].name) {}

  void all(const std::vector<Operation>& everything) {
    everything_ = &everything;
    title_and_lines();
    stands_now();
    window();
    faults();
    traces();
  }

 private:
  void line(std::string text) { out_.story.push_back(std::move(text)); }
  std::string at(std::uint64_t t_ns) const { return clock_text(t_ns, with_.index.t0_ns); }
  std::string place(std::int64_t offset) const {
    return fmt::format("offset {}", grouped(static_cast<std::uint64_t>(std::max<std::int64_t>(offset, 0))));
  }
  const Send* send_of(std::uint64_t value) const {
    return value < with_.index.sends.size() && with_.index.sends[value].state != Sent::never ? &with_.index.sends[value]
                                                                                             : nullptr;
  }

  void send_line(std::uint64_t value) {
    const Send* send = send_of(value);
    if (send == nullptr) return;
    const Operation* invoke = find(*everything_, Function::send, Type::invoke, value);
    const std::string who = invoke == nullptr ? "a producer" : invoke->writer;
    std::string text = fmt::format("{}: value {} sent at {}", who, value, at(send->invoke_ns));
    if (send->state == Sent::ok)
      text += send->offset >= 0 ? fmt::format(", acknowledged at {} at {}", place(send->offset), at(send->end_ns))
                                : fmt::format(", acknowledged without an offset at {}", at(send->end_ns));
    if (send->state == Sent::open) text += ", outcome unknown";
    if (send->state == Sent::fail) text += fmt::format(", refused at {}", at(send->end_ns));
    for (const Operation& op : *everything_)
      if (op.function == Function::send && op.value == value && !op.error.empty())
        text += fmt::format(" ({})", op.error);
    line(text);
  }

  void seen_lines(std::uint64_t value, std::size_t most) {
    for (const Operation& op : *everything_) {
      if ((op.function != Function::read && op.function != Function::audit) || op.value != value) continue;
      if (most-- == 0) return;
      line(fmt::format("{} {} {} at {} of {}{} at {}{}", op.writer, op.function == Function::read ? "read" : "found",
                       value_text(value), place(op.offset), op.where.to_string(), epoch_text(op.leader_epoch),
                       at(op.time_ns), op.error.empty() ? "" : ": " + op.error));
    }
  }

  void audit_line() {
    const Partition& partition = with_.index.partitions[finding_.object];
    if (!partition.audit_end.valid()) return;
    line(fmt::format("the audit read {} from {} to {} ({}) and did not find it there", name_.to_string(),
                     place(partition.log_start), place(partition.position),
                     partition.drained ? "its proven end" : "as far as it came"));
  }

  void title_and_lines() {
    const std::string where = name_.to_string();
    switch (finding_.prop) {
      case Prop::lost_write:
        out_.title =
            fmt::format("value {}, acknowledged at {} of {}, is gone", finding_.value, place(finding_.offset), where);
        if (finding_.offset < 0)
          out_.title = fmt::format("value {}, acknowledged by {}, is gone", finding_.value, where);
        send_line(finding_.value);
        seen_lines(finding_.value, 2);
        return audit_line();
      case Prop::vanished_read:
        out_.title = fmt::format("{} was delivered at {} of {} and is gone", value_text(finding_.value),
                                 place(finding_.offset), where);
        seen_lines(finding_.value, 3);
        return audit_line();
      case Prop::inconsistent_offsets:
        return inconsistent(where);
      case Prop::duplicate:
        return duplicate(where);
      case Prop::aborted_read:
        out_.title = fmt::format("value {} was refused, yet it stands at {} of {}", finding_.value,
                                 place(finding_.offset), where);
        send_line(finding_.value);
        return seen_lines(finding_.value, 2);
      case Prop::phantom_value:
        out_.title =
            fmt::format("{} at {} of {}: nobody sent it", value_text(finding_.value), place(finding_.offset), where);
        return seen_lines(finding_.value, 3);
      case Prop::wrong_partition:
        out_.title = fmt::format("value {} stands at {} of {}, but was sent elsewhere", finding_.value,
                                 place(finding_.offset), where);
        if (const Send* send = send_of(finding_.value))
          line(fmt::format("it was sent to {}", with_.index.partitions[send->object].name.to_string()));
        send_line(finding_.value);
        return seen_lines(finding_.value, 2);
      case Prop::corrupt_value:
        return corrupt(where);
      case Prop::read_before_write:
        out_.title = fmt::format("value {} of {} was read before it was sent", finding_.value, where);
        seen_lines(finding_.value, 1);
        return send_line(finding_.value);
      case Prop::nonmonotonic_send:
      case Prop::int_nonmonotonic_send:
        out_.title = fmt::format("value {} was sent after value {} by one producer and stands before it in {}",
                                 finding_.value, finding_.other_value, where);
        send_line(finding_.other_value);
        return send_line(finding_.value);
      case Prop::real_time_order:
        out_.title = fmt::format("value {} was acknowledged before value {} was sent, and stands after it in {}",
                                 finding_.other_value, finding_.value, where);
        send_line(finding_.other_value);
        return send_line(finding_.value);
      case Prop::end_offset_regression:
        return end_regression(where);
      case Prop::poll_skip:
      case Prop::int_poll_skip:
        return skip(where);
      case Prop::nonmonotonic_poll:
      case Prop::int_nonmonotonic_poll:
        out_.title = fmt::format("a consumer of {} went back from {} to {}", where, place(finding_.other_offset),
                                 place(finding_.offset));
        return ref_lines();
      case Prop::log_epoch_order:
      case Prop::broken_sequence:
        return batches(where);
      case Prop::unseen:
      case Prop::count_:
        return;
    }
  }

  void inconsistent(const std::string& where) {
    if (finding_.other_offset < 0) {
      out_.title = fmt::format("value {} was acknowledged at {} of {} and stands elsewhere", finding_.value,
                               place(finding_.offset), where);
      send_line(finding_.value);
      return seen_lines(finding_.value, 2);
    }
    out_.title = fmt::format("{} of {} held {} and {}", place(finding_.offset), where, value_text(finding_.value),
                             value_text(finding_.other_value));
    for (const std::uint64_t value : {finding_.value, finding_.other_value}) {
      send_line(value);
      seen_lines(value, 1);
    }
  }

  void duplicate(const std::string& where) {
    send_line(finding_.value);
    seen_lines(finding_.value, 4);
    if (finding_.other_offset < 0) {
      out_.title = fmt::format("value {} was refused as out of order although {} holds it", finding_.value, where);
      if (finding_.because == Because::stale_refusal)
        line("leadership had moved: a deposed leader may have refused what its own log lacked, which Kafka allows");
      if (finding_.because == Because::client_sequence)
        line(
            "the batch that the log holds has another first or last record: the client gave up some of it and sent the "
            "rest again");
      return;
    }
    out_.title = fmt::format("value {} stands at {} and at {} of {}", finding_.value, place(finding_.offset),
                             place(finding_.other_offset), where);
    for (const history::AuditBatch& batch : with_.index.partitions[finding_.object].batches) {
      const bool holds = (batch.base_offset <= finding_.offset && finding_.offset <= batch.last_offset) ||
                         (batch.base_offset <= finding_.other_offset && finding_.other_offset <= batch.last_offset);
      if (holds) line(batch_text(batch));
    }
    if (finding_.because == Because::client_epoch)
      line("the copies carry different producer ids or epochs: the client sent the value again in a new session");
    if (finding_.because == Because::client_sequence)
      line("the copies carry different sequences of one epoch: the client numbered the value again");
    if (finding_.because == Because::refused_held)
      line("the client began a new epoch because the broker refused as out of order the batch that the log holds");
  }

  void corrupt(const std::string& where) {
    if (finding_.because == Because::crc) {
      out_.title = fmt::format("a batch at {} of {} has a wrong checksum", place(finding_.offset), where);
      return batches_at(finding_.offset);
    }
    out_.title = fmt::format("damaged bytes were served at {} of {}", place(finding_.offset), where);
    for (const Operation& op : *everything_)
      if (op.offset == finding_.offset && op.value == history::kForeignValue)
        return line(fmt::format("{} read {} at {} of {} at {}: {}", op.writer, "a damaged value", place(op.offset),
                                where, at(op.time_ns), op.error));
  }

  void end_regression(const std::string& where) {
    out_.title = fmt::format("the end of {} went back from {} to {}", where,
                             grouped(static_cast<std::uint64_t>(finding_.other_offset)),
                             grouped(static_cast<std::uint64_t>(finding_.offset)));
    if (finding_.value != history::kNoValue) {
      send_line(finding_.value);
      seen_lines(finding_.value, 1);
    }
    ref_lines();
    if (finding_.because == Because::stale_answer)
      line("the answer came from an older or unknown leader epoch: a stale read, which Kafka allows");
  }

  void skip(const std::string& where) {
    out_.title = fmt::format("a consumer of {} went past {} without delivering it", where, place(finding_.offset));
    ref_lines();
    seen_lines(finding_.value, 1);
  }

  void ref_lines() {
    for (const RecordRef& ref : finding_.refs) {
      if (!ref.valid()) continue;
      const Operation op = operation_at(with_.index, ref);
      if (op.function == Function::list_end && op.type == Type::invoke)
        line(fmt::format("{} asked for the end of {} at {}", op.writer, op.where.to_string(), at(op.time_ns)));
      else if (op.function == Function::list_end)
        line(fmt::format("{} was told {}{} at {}", op.writer, place(op.offset), epoch_text(op.leader_epoch),
                         at(op.time_ns)));
      else if (op.function == Function::assign)
        line(fmt::format("{} was assigned {} from {} at {}", op.writer, op.where.to_string(), place(op.offset),
                         at(op.time_ns)));
      else
        line(fmt::format("{} read {} at {}{} at {}", op.writer, value_text(op.value), place(op.offset),
                         epoch_text(op.leader_epoch), at(op.time_ns)));
    }
  }

  static std::string batch_text(const history::AuditBatch& batch) {
    return fmt::format("batch at offsets {} to {}: leader epoch {}, producer {} epoch {} from sequence {}{}",
                       batch.base_offset, batch.last_offset, batch.leader_epoch, batch.producer_id,
                       batch.producer_epoch, batch.base_sequence, batch.crc_ok ? "" : ", wrong checksum");
  }

  void batches_at(std::int64_t offset) {
    for (const history::AuditBatch& batch : with_.index.partitions[finding_.object].batches)
      if (batch.base_offset == offset) return line(batch_text(batch));
  }

  void batches(const std::string& where) {
    out_.title = finding_.prop == Prop::log_epoch_order
                     ? fmt::format("leader epochs fall along {} at {}", where, place(finding_.offset))
                     : fmt::format("a producer's sequence breaks in {} at {}", where, place(finding_.offset));
    batches_at(finding_.other_offset);
    batches_at(finding_.offset);
  }

  // What readers found at the offsets in question.
  void stands_now() {
    for (const Operation& op : *everything_) {
      if (op.function != Function::read && op.function != Function::audit) continue;
      if (op.where != name_ || (op.offset != finding_.offset && op.offset != finding_.other_offset)) continue;
      LogRecord record{op.offset, op.value, op.leader_epoch,
                       op.function == Function::audit ? "audit of " + name_.to_string() : "read by " + op.writer};
      if (out_.records.size() < 12) out_.records.push_back(std::move(record));
    }
    if (finding_.prop != Prop::lost_write) return;
    const auto other = std::ranges::find_if(out_.records, [&](const LogRecord& record) {
      return record.offset == finding_.offset && record.value != finding_.value;
    });
    if (other != out_.records.end())
      line(fmt::format("{} holds {}{} ({})", place(finding_.offset), value_text(other->value),
                       epoch_text(other->leader_epoch), other->where));
  }

  void window() {
    out_.from_ns = finding_.from_ns;
    out_.to_ns = finding_.to_ns;
    for (const Operation& op : out_.operations) {
      if (op.function == Function::audit_end || op.function == Function::audit) continue;
      out_.from_ns = out_.from_ns == 0 ? op.time_ns : std::min(out_.from_ns, op.time_ns);
      out_.to_ns = std::max(out_.to_ns, op.time_ns);
    }
    if (finding_.prop == Prop::lost_write || finding_.prop == Prop::vanished_read) {
      constexpr std::uint64_t kAfter = 10'000'000'000;  // what undid it came after the acknowledgement, and soon
      std::uint64_t other = with_.index.t1_ns;
      for (const Operation& op : *everything_)
        if (op.offset == finding_.offset && op.value != finding_.value && op.function == Function::read &&
            op.where == name_)
          other = std::min(other, op.time_ns);
      out_.to_ns = std::max(out_.to_ns, std::min(other, out_.to_ns + kAfter));
    }
  }

  void faults() {
    std::string active;
    for (const FaultSpan& fault : with_.evidence.faults()) {
      if (!fault.overlaps(out_.from_ns, out_.to_ns)) continue;
      out_.faults.push_back(fault.id);
      active += (active.empty() ? "" : " · ") + fault_text(fault, with_.index.t0_ns);
    }
    line(active.empty() ? "active then: no fault" : "active then: " + active);
  }

  void traces() {
    constexpr std::uint64_t kAround = 500'000'000;
    constexpr std::size_t kMost = 24;
    for (const TraceEvent& event : with_.context.traces) {
      if (out_.trace.size() >= kMost) return;
      if (event.t_ns + kAround < out_.from_ns || event.t_ns > out_.to_ns + kAround) continue;
      const bool partition = event.kind.starts_with("partition.") && event.kind != "partition.hw";
      if (partition && (event.body.value("topic", "") != name_.topic ||
                        event.body.value("partition", PartitionId{-1}) != name_.partition))
        continue;
      const bool role = event.kind.starts_with("broker.") || event.kind.starts_with("controller.");
      if (!partition && !role) continue;
      nlohmann::json& shown = out_.trace.emplace_back(event.body);
      shown["t"] = event.t_ns;
      shown["n"] = event.node;
      shown["k"] = event.kind;
    }
  }

  const StoryTeller& with_;
  const Finding& finding_;
  Violation& out_;
  const TopicPartition name_;
  const std::vector<Operation>* everything_ = nullptr;
};

bool by_batches(const Finding& finding) {
  return finding.prop == Prop::log_epoch_order || finding.prop == Prop::broken_sequence ||
         finding.because == Because::crc;
}

}  // namespace

bool StoryTeller::tell(const Finding& finding, Standing status, const std::string& promise, Violation& out) const {
  out.property = prop_name(finding.prop);
  out.status = status;
  std::vector<Operation> everything;
  for (const RecordRef& ref : locator.about(finding)) everything.push_back(operation_at(index, ref));
  if (!by_batches(finding)) {
    out.operations = smallest(finding.prop, everything, finding.because == Because::stale_answer);
    if (out.operations.empty()) return false;
  }
  Teller(*this, finding, out).all(everything);
  if (!promise.empty()) out.story.push_back(promise);
  return true;
}

}  // namespace ordeal::checker
