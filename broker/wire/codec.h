// The primitives of Kafka's wire format: a bounded reader and a writer.
//
// Reader never looks past its bytes and never allocates because a length field says so. Its first failure sticks: later
// reads return zeros, so a decoder may run on and check once at the end.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/base/bytes.h"
#include "broker/base/types.h"

namespace ordeal::wire {

// Old encodings carry fixed-width lengths; compact ones (flexible versions) an unsigned varint of length + 1, 0 = null.
enum class Style : std::uint8_t { old, compact };

inline constexpr std::size_t kStringMax = 32767;  // in both styles, as in Kafka

class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}
  explicit Reader(Slice bytes) : owner_(std::move(bytes.owner)), bytes_(bytes.view) {}

  template <class Int>
  Int integer() {
    if (!need(sizeof(Int))) return 0;
    Int value;
    if constexpr (sizeof(Int) == 1) {
      value = static_cast<Int>(bytes_[position_]);
    } else {
      value = load_be<Int>(bytes_.data() + position_);
    }
    position_ += sizeof(Int);
    return value;
  }
  bool boolean() { return integer<std::int8_t>() != 0; }
  double float64() { return std::bit_cast<double>(integer<std::int64_t>()); }
  Uuid uuid();
  std::uint32_t uvarint();
  std::int32_t varint();   // zigzag
  std::int64_t varlong();  // zigzag
  ByteView take(std::size_t count);

  std::optional<std::string_view> string(Style style);  // nullopt: null (or failed)
  std::optional<Slice> bytes(Style style);              // shares the reader's buffer; nullopt: null (or failed)
  std::optional<std::size_t> array_count(Style style);  // never more than the bytes left; nullopt: null (or failed)

  bool ok() const { return failure_.empty(); }
  void fail(std::string why);  // the first one is kept
  const std::string& failure() const { return failure_; }
  std::size_t failed_at() const { return failed_at_; }
  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }
  Slice rest() { return {owner_, bytes_.subspan(position_)}; }

 private:
  bool need(std::size_t count) {
    if (count <= remaining() && failure_.empty()) [[likely]]
      return true;
    fail_short(count);
    return false;
  }
  void fail_short(std::size_t count);
  std::uint64_t raw_varint(int bytes_max);

  std::shared_ptr<const Bytes> owner_;
  ByteView bytes_;
  std::size_t position_ = 0;
  std::string failure_;
  std::size_t failed_at_ = 0;
};

// Appends to a buffer it does not own.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  template <class Int>
  void integer(Int value) {
    if constexpr (sizeof(Int) == 1) {
      out_.push_back(static_cast<std::uint8_t>(value));
    } else {
      std::uint8_t buffer[sizeof(Int)];
      store_be<Int>(buffer, value);
      out_.insert(out_.end(), buffer, buffer + sizeof(Int));
    }
  }
  void boolean(bool value) { out_.push_back(value ? 1 : 0); }
  void float64(double value) { integer(std::bit_cast<std::int64_t>(value)); }
  void uuid(const Uuid& id) { raw(id.bytes); }
  void uvarint(std::uint32_t value) { raw_varint(value); }
  void varint(std::int32_t value);
  void varlong(std::int64_t value);
  void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  // Texts longer than the protocol allows are cut: only free text (error messages) can be that long, since names come
  // through Reader, which refuses them.
  void string(std::string_view text, Style style);
  void bytes(ByteView bytes, Style style);
  void array_count(std::size_t count, Style style);
  void null_string(Style style);
  void null_bytes(Style style) { null_array(style); }
  void null_array(Style style);

 private:
  void raw_varint(std::uint64_t value);
  Bytes& out_;
};

inline std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
inline std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

}  // namespace ordeal::wire
