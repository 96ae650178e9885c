#include "faults/sim/sim_framer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "broker/wire/api.h"

namespace ordeal::sim {
namespace {

constexpr std::int32_t kFrameMax = 256 << 20;
constexpr std::size_t kPendingMax = 4096;
constexpr std::size_t kLength = 4;
constexpr std::size_t kKafkaRequestHead = 12;  // length, api key, version, correlation
constexpr std::size_t kKafkaReplyHead = 8;     // length, correlation

// The top level of a protobuf message, as far as the bytes at hand go.
class FieldScan {
 public:
  explicit FieldScan(ByteView bytes) : bytes_(bytes) {}

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const std::uint8_t byte = bytes_[at_++];
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }
  std::optional<std::string_view> text() {
    const auto size = varint();
    if (!size || *size > bytes_.size() - at_) return std::nullopt;
    const std::string_view found = as_text(bytes_.subspan(at_, static_cast<std::size_t>(*size)));
    at_ += static_cast<std::size_t>(*size);
    return found;
  }

 private:
  ByteView bytes_;
  std::size_t at_ = 0;
};

// Field numbers and wire types of meta.Envelope (broker/meta/control.proto).
constexpr std::uint64_t kTagApi = 1 << 3 | 2;
constexpr std::uint64_t kTagFrom = 2 << 3;
constexpr std::uint64_t kTagTo = 3 << 3;
constexpr std::uint64_t kTagCluster = 4 << 3 | 2;
constexpr std::uint64_t kTagCorrelation = 5 << 3;
constexpr std::uint64_t kTagResponse = 8 << 3 | 2;

void scan_envelope(ByteView bytes, MessageId& into) {
  FieldScan scan(bytes);
  while (const auto tag = scan.varint()) {
    if (*tag == kTagApi || *tag == kTagCluster) {
      const auto text = scan.text();
      if (!text) return;
      if (*tag == kTagApi) into.name = *text;
    } else if (*tag == kTagFrom || *tag == kTagTo || *tag == kTagCorrelation) {
      const auto value = scan.varint();
      if (!value) return;
      if (*tag == kTagCorrelation) into.correlation = static_cast<std::int64_t>(*value);
    } else {  // the body, which comes last
      into.reply = *tag == kTagResponse;
      return;
    }
  }
}

void name_kafka(std::int16_t key, MessageId& message) {
  const wire::ApiVersionRange* api = wire::find_api(key);
  message.api = api != nullptr ? std::string(api->name) : fmt::format("api {}", key);
  message.name = message.api;
}

// Raft's messages are one-way; their names say which of them answer.
void name_control(ByteView envelope, MessageId& message) {
  scan_envelope(envelope, message);
  const std::string_view name = message.name;
  message.api = name;
  for (const std::string_view ending : {"_request", "_response", "_chunk"}) {
    if (name.starts_with("raft_") && name.ends_with(ending)) {
      message.api = name.substr(0, name.size() - ending.size());
      message.reply = ending == "_response";
    }
  }
  if (name == "pong") {
    message.api = "ping";
    message.reply = true;
  }
}

}  // namespace

Protocol protocol_of(std::uint16_t port) {
  if (port == 9092 || port == 9093) return Protocol::kafka;
  return port == 9094 ? Protocol::control : Protocol::none;
}

void Framer::start(Protocol protocol, bool requests, PendingRequests* pending) {
  protocol_ = protocol;
  requests_ = requests;
  pending_ = pending;
}

std::size_t Framer::head_needed(Mode mode) const {
  std::size_t wanted = kLength;
  if (protocol_ == Protocol::kafka) wanted = requests_ ? kKafkaRequestHead : kKafkaReplyHead;
  if (protocol_ == Protocol::control && mode != Mode::lengths) wanted = kHeadMax;
  return static_cast<std::size_t>(std::min<std::uint64_t>(wanted, total_));
}

void Framer::feed(ByteView view, Mode mode, Sink& sink) {
  if (protocol_ == Protocol::none) {
    sink.bytes(view);
    return;
  }
  if (mode != Mode::exact) flush(sink);
  while (!view.empty() || (left_ == 0 && total_ != 0 && have_ >= head_needed(mode))) {
    if (left_ == 0) {
      if (!take_head(view, mode, sink)) return;
      continue;
    }
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left_, view.size()));
    sink.bytes(view.first(part));
    view = view.subspan(part);
    left_ -= part;
    if (left_ == 0 && std::exchange(named_, false)) sink.end();
  }
}

// Collects the first bytes of a message; false: `view` is used up, or does not hold frames.
bool Framer::take_head(ByteView& view, Mode mode, Sink& sink) {
  const std::size_t wanted = total_ == 0 ? kLength : head_needed(mode);
  const std::size_t part = have_ >= wanted ? 0 : std::min(wanted - have_, view.size());
  std::copy_n(view.begin(), part, head_.begin() + static_cast<std::ptrdiff_t>(have_));
  have_ += part;
  if (mode != Mode::exact) {
    sink.bytes(view.first(part));
    passed_ = have_;
  }
  view = view.subspan(part);
  if (have_ < wanted) return false;
  if (total_ == 0) {
    const auto length = load_be<std::int32_t>(head_.data());
    if (length < 0 || length > kFrameMax) {
      flush(sink);
      protocol_ = Protocol::none;
      sink.bytes(view);
      return false;
    }
    total_ = kLength + static_cast<std::uint64_t>(length);
    return true;
  }
  identify(mode, sink);
  return true;
}

void Framer::identify(Mode mode, Sink& sink) {
  MessageId message;
  const bool kafka = protocol_ == Protocol::kafka;
  const std::optional<std::int16_t> key = kafka ? track(message) : std::nullopt;
  const bool wanted = mode != Mode::lengths;
  if (wanted) {
    if (key) name_kafka(*key, message);
    if (!kafka) name_control(ByteView(head_).subspan(kLength, have_ - kLength), message);
    message.bytes = total_;
    sink.begin(message, ByteView(head_).first(passed_));
  }
  left_ = total_ - have_;
  const ByteView kept = ByteView(head_).subspan(passed_, have_ - passed_);
  total_ = 0;
  passed_ = have_ = 0;
  if (!kept.empty()) sink.bytes(kept);
  named_ = wanted && left_ > 0;
  if (wanted && left_ == 0) sink.end();
}

void Framer::flush(Sink& sink) {
  if (passed_ == have_) return;
  const ByteView kept = ByteView(head_).subspan(passed_, have_ - passed_);
  passed_ = have_;
  sink.bytes(kept);
}

// Correlation and direction of a Kafka frame; gives the api key as far as it is known.
std::optional<std::int16_t> Framer::track(MessageId& message) {
  message.reply = !requests_;
  if (requests_) {
    if (have_ < kKafkaRequestHead) return std::nullopt;
    const auto key = load_be<std::int16_t>(head_.data() + 4);
    const auto correlation = load_be<std::int32_t>(head_.data() + 8);
    message.correlation = correlation;
    if (pending_->size() >= kPendingMax) pending_->pop_front();
    pending_->emplace_back(correlation, key);
    return key;
  }
  if (have_ < kKafkaReplyHead) return std::nullopt;
  const auto correlation = load_be<std::int32_t>(head_.data() + 4);
  message.correlation = correlation;
  const auto request =
      std::find_if(pending_->begin(), pending_->end(), [&](const auto& entry) { return entry.first == correlation; });
  if (request == pending_->end()) return std::nullopt;
  const std::int16_t key = request->second;
  pending_->erase(pending_->begin(), std::next(request));  // earlier ones want no reply: replies keep the order
  return key;
}

}  // namespace ordeal::sim
