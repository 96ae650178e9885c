// Encoding and recognising values. Damage must never decode as another value: the checksum covers id and object too.
#include "workloads/history/payload.h"

#include "broker/base/check.h"

namespace ordeal::history {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{'O', 'R', 'D', 'V'};
constexpr std::size_t kCrcAt = 4, kRunAt = 8, kValueAt = 16, kObjectAt = 24, kSizeAt = 28, kPadAt = 32;

template <class Int>
Int load(ByteView bytes, std::size_t at) {
  Int value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class Int>
void store(MutableByteView bytes, std::size_t at, Int value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

std::uint32_t checksum(ByteView bytes) {
  const std::uint32_t head = crc32c(bytes.first(kCrcAt));
  return crc32c(bytes.subspan(kRunAt), head);
}

}  // namespace

const char* foreign_reason_name(ForeignReason reason) {
  switch (reason) {
    case ForeignReason::too_short:
      return "too_short";
    case ForeignReason::bad_magic:
      return "bad_magic";
    case ForeignReason::bad_size:
      return "bad_size";
    case ForeignReason::bad_crc:
      return "bad_crc";
    case ForeignReason::other_run:
      return "other_run";
  }
  return "?";
}

bool is_damage(std::string_view foreign_reason) { return foreign_reason == "bad_size" || foreign_reason == "bad_crc"; }

ForeignPayload PayloadForeign::describe(ByteView bytes) const {
  const ByteView head = bytes.first(std::min<std::size_t>(bytes.size(), 64));
  return {foreign_reason_name(reason), static_cast<std::uint32_t>(bytes.size()), std::string(as_text(head))};
}

std::uint64_t run_hash(std::string_view run_id) { return fnv1a(as_bytes(run_id)); }

void encode_payload(std::uint64_t run, const PayloadValue& value, MutableByteView out) {
  ORDEAL_CHECK(out.size() >= kMinPayload, "a payload needs {} bytes, got {}", kMinPayload, out.size());
  ORDEAL_CHECK(value.id < kForeignValue, "value id {} is reserved", value.id);
  std::memcpy(out.data(), kMagic.data(), kMagic.size());
  store(out, kRunAt, run);
  store(out, kValueAt, value.id);
  store(out, kObjectAt, value.object);
  store(out, kObjectAt + 2, std::uint16_t{0});
  store(out, kSizeAt, static_cast<std::uint32_t>(out.size()));
  // SplitMix64's increment and a multiply: cheap, and no two neighbours look alike.
  std::uint64_t state = value.id * 0x9E3779B97F4A7C15ULL + run;
  for (std::size_t at = kPadAt; at < out.size(); at += 8) {
    state = (state ^ (state >> 29)) * 0xBF58476D1CE4E5B9ULL + 1;
    std::memcpy(out.data() + at, &state, std::min<std::size_t>(8, out.size() - at));
  }
  store(out, kCrcAt, checksum(out));
}

Bytes make_payload(std::uint64_t run, const PayloadValue& value, std::size_t size) {
  Bytes bytes(size);
  encode_payload(run, value, bytes);
  return bytes;
}

Decoded decode_payload(std::uint64_t run, ByteView bytes) {
  if (bytes.size() < kMagic.size() || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    return PayloadForeign{bytes.size() < kMinPayload ? ForeignReason::too_short : ForeignReason::bad_magic};
  if (bytes.size() < kMinPayload || load<std::uint32_t>(bytes, kSizeAt) != bytes.size())
    return PayloadForeign{ForeignReason::bad_size};
  if (load<std::uint32_t>(bytes, kCrcAt) != checksum(bytes)) return PayloadForeign{ForeignReason::bad_crc};
  if (load<std::uint64_t>(bytes, kRunAt) != run) return PayloadForeign{ForeignReason::other_run};
  const auto id = load<std::uint64_t>(bytes, kValueAt);
  if (id >= kForeignValue) return PayloadForeign{ForeignReason::bad_magic};
  return PayloadValue{id, load<std::uint16_t>(bytes, kObjectAt)};
}

}  // namespace ordeal::history
