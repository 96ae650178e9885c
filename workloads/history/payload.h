// The bytes of one value: self-describing, so that whoever reads them can tell whose they are and whether they are
// whole, without a table. Layout, little-endian (docs/formats/history.md):
//   0 magic "ORDV"   4 crc32c of everything but these 4 bytes   8 run hash (8)   16 value id (8)
//   24 object index (2)   26 zero (2)   28 total size (4)   32 padding derived from the value id
// The padding differs from value to value, so compression meets data that is not all alike.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "broker/base/bytes.h"
#include "workloads/history/history.h"

namespace ordeal::history {

inline constexpr std::size_t kMinPayload = 40;
inline constexpr std::size_t kDefaultPayload = 100;

enum class ForeignReason : std::uint8_t {
  too_short,  // fewer than kMinPayload bytes
  bad_magic,  // not ours at all
  bad_size,   // ours, but cut or grown
  bad_crc,    // ours, but damaged
  other_run,  // a whole value of another run
};
const char* foreign_reason_name(ForeignReason reason);  // "too_short", ...
// True for reasons that mean "one of our values, damaged"; the others mean "nobody of this run sent that".
bool is_damage(std::string_view foreign_reason);

struct PayloadValue {
  std::uint64_t id = 0;      // below kForeignValue
  std::uint16_t object = 0;  // where the sender meant it to go
};
struct PayloadForeign {
  ForeignReason reason = ForeignReason::bad_magic;
  ForeignPayload describe(ByteView bytes) const;  // what Recorder::read_foreign takes
};
using Decoded = std::variant<PayloadValue, PayloadForeign>;

std::uint64_t run_hash(std::string_view run_id);

// Fills `out` (its size is the payload's size, at least kMinPayload).
void encode_payload(std::uint64_t run, const PayloadValue& value, MutableByteView out);
Bytes make_payload(std::uint64_t run, const PayloadValue& value, std::size_t size = kDefaultPayload);
Decoded decode_payload(std::uint64_t run, ByteView bytes);

}  // namespace ordeal::history
