// Byte buffers: owned, borrowed, and shared slices; big-endian access (Kafka's order); CRC-32C.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace ordeal {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// A view that keeps its buffer alive: a decoded request hands its record bytes on without copying them.
struct Slice {
  std::shared_ptr<const Bytes> owner;
  ByteView view;

  Slice() = default;
  Slice(std::shared_ptr<const Bytes> keep, ByteView part) : owner(std::move(keep)), view(part) {}
  static Slice own(Bytes bytes) {
    auto owner = std::make_shared<const Bytes>(std::move(bytes));
    ByteView all(*owner);
    return {std::move(owner), all};
  }
  std::size_t size() const { return view.size(); }
  bool empty() const { return view.empty(); }
  Slice sub(std::size_t from, std::size_t count) const { return {owner, view.subspan(from, count)}; }
};

template <class Int>
Int load_be(const std::uint8_t* at) {
  std::make_unsigned_t<Int> value;
  std::memcpy(&value, at, sizeof value);
  if constexpr (sizeof(Int) == 2) value = __builtin_bswap16(value);
  if constexpr (sizeof(Int) == 4) value = __builtin_bswap32(value);
  if constexpr (sizeof(Int) == 8) value = __builtin_bswap64(value);
  return static_cast<Int>(value);
}

template <class Int>
void store_be(std::uint8_t* at, Int number) {
  auto value = static_cast<std::make_unsigned_t<Int>>(number);
  if constexpr (sizeof(Int) == 2) value = __builtin_bswap16(value);
  if constexpr (sizeof(Int) == 4) value = __builtin_bswap32(value);
  if constexpr (sizeof(Int) == 8) value = __builtin_bswap64(value);
  std::memcpy(at, &value, sizeof value);
}

// CRC-32C (Castagnoli), as RecordBatch v2 and the snapshot files use it. crc32c of "123456789" is 0xe3069283.
// `seed` continues a running checksum: crc32c(b, crc32c(a)) == crc32c(a+b).
std::uint32_t crc32c(ByteView bytes, std::uint32_t seed = 0);

// FNV-1a 64: cheap, stable digest for determinism proofs and value checks; not cryptographic.
inline std::uint64_t fnv1a(ByteView bytes, std::uint64_t hash = 0xcbf29ce484222325ULL) {
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3ULL;
  return hash;
}

}  // namespace ordeal
