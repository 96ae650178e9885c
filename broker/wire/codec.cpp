// Reader and Writer: see codec.h for the rules they keep.
#include "broker/wire/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "broker/base/check.h"

namespace ordeal::wire {

void Reader::fail(std::string why) {
  if (!failure_.empty()) return;
  failure_ = std::move(why);
  failed_at_ = position_;
}

void Reader::fail_short(std::size_t count) { fail(fmt::format("needs {} bytes, {} left", count, remaining())); }

std::uint64_t Reader::raw_varint(int bytes_max) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes_max; ++i) {
    if (!need(1)) return 0;
    const std::uint8_t byte = bytes_[position_++];
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) return value;
  }
  fail(fmt::format("varint longer than {} bytes", bytes_max));
  return 0;
}

std::uint32_t Reader::uvarint() {
  const std::uint64_t value = raw_varint(5);
  if (value > std::numeric_limits<std::uint32_t>::max()) fail("varint exceeds 32 bits");
  return ok() ? static_cast<std::uint32_t>(value) : 0;
}

std::int32_t Reader::varint() {
  const std::uint32_t value = uvarint();
  return static_cast<std::int32_t>(unzigzag(value));
}

std::int64_t Reader::varlong() { return unzigzag(raw_varint(10)); }

ByteView Reader::take(std::size_t count) {
  if (!need(count)) return {};
  const ByteView part = bytes_.subspan(position_, count);
  position_ += count;
  return part;
}

Uuid Reader::uuid() {
  Uuid id;
  const ByteView part = take(id.bytes.size());
  if (!part.empty()) std::copy(part.begin(), part.end(), id.bytes.begin());
  return id;
}

std::optional<std::string_view> Reader::string(Style style) {
  const std::int64_t length =
      style == Style::compact ? static_cast<std::int64_t>(uvarint()) - 1 : integer<std::int16_t>();
  if (!ok() || length == -1) return std::nullopt;
  if (length < 0 || length > static_cast<std::int64_t>(kStringMax)) {
    fail(fmt::format("string length {}", length));
    return std::nullopt;
  }
  const ByteView part = take(static_cast<std::size_t>(length));
  if (!ok()) return std::nullopt;
  return as_text(part);
}

std::optional<Slice> Reader::bytes(Style style) {
  const std::int64_t length =
      style == Style::compact ? static_cast<std::int64_t>(uvarint()) - 1 : integer<std::int32_t>();
  if (!ok() || length == -1) return std::nullopt;
  if (length < 0) {
    fail(fmt::format("bytes length {}", length));
    return std::nullopt;
  }
  const ByteView part = take(static_cast<std::size_t>(length));
  if (!ok()) return std::nullopt;
  return Slice(owner_, part);
}

std::optional<std::size_t> Reader::array_count(Style style) {
  const std::int64_t count =
      style == Style::compact ? static_cast<std::int64_t>(uvarint()) - 1 : integer<std::int32_t>();
  if (!ok() || count == -1) return std::nullopt;
  // Every element takes at least one byte, so a count beyond the bytes left is a lie told before any allocation.
  if (count < 0 || static_cast<std::uint64_t>(count) > remaining()) {
    fail(fmt::format("array of {} elements in {} bytes", count, remaining()));
    return std::nullopt;
  }
  return static_cast<std::size_t>(count);
}

void Writer::raw_varint(std::uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<std::uint8_t>(value) | 0x80);
    value >>= 7;
  }
  out_.push_back(static_cast<std::uint8_t>(value));
}

void Writer::varint(std::int32_t value) { raw_varint(static_cast<std::uint32_t>(zigzag(value))); }
void Writer::varlong(std::int64_t value) { raw_varint(zigzag(value)); }

void Writer::string(std::string_view text, Style style) {
  text = text.substr(0, kStringMax);
  if (style == Style::compact) {
    uvarint(static_cast<std::uint32_t>(text.size()) + 1);
  } else {
    integer(static_cast<std::int16_t>(text.size()));
  }
  raw(as_bytes(text));
}

void Writer::bytes(ByteView bytes, Style style) {
  array_count(bytes.size(), style);
  raw(bytes);
}

void Writer::array_count(std::size_t count, Style style) {
  ORDEAL_CHECK(count <= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()), "{} does not fit", count);
  if (style == Style::compact) {
    uvarint(static_cast<std::uint32_t>(count) + 1);
  } else {
    integer(static_cast<std::int32_t>(count));
  }
}

void Writer::null_string(Style style) {
  if (style == Style::compact) {
    uvarint(0);
  } else {
    integer(std::int16_t{-1});
  }
}

void Writer::null_array(Style style) {
  if (style == Style::compact) {
    uvarint(0);
  } else {
    integer(std::int32_t{-1});
  }
}

}  // namespace ordeal::wire
