// The four codecs of the protocol, with bounded output.
//
// Kafka's framings: gzip and zstd standard streams, lz4 the standard frame, snappy in xerial blocks (the Java client)
// or one raw block (librdkafka): both are read, xerial is written. Lengths found inside compressed bytes are never
// trusted: output grows only as data really comes out, up to the caller's limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "broker/base/bytes.h"
#include "broker/base/result.h"

namespace ordeal::wire {

enum class Codec : std::uint8_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };

const char* codec_name(Codec codec);  // Kafka's names: "none", "gzip", "snappy", "lz4", "zstd"
std::optional<Codec> find_codec(std::string_view name);

// Never fails for bytes that fit in memory. `Codec::none` copies.
Bytes compress(Codec codec, ByteView bytes);
// Errc::corrupt for damaged input, Errc::out_of_range when more than `size_max` bytes would come out,
// Errc::unsupported for a codec id that names none.
Result<Bytes> decompress(Codec codec, ByteView bytes, std::size_t size_max);

}  // namespace ordeal::wire
