// Primitives, frames, error codes and compression.
#include "broker/wire/codec.h"

#include <doctest/doctest.h>

#include "broker/base/random.h"
#include "broker/wire/compression.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/frame.h"

using namespace ordeal;
using namespace ordeal::wire;

TEST_CASE("varints: golden bytes, extremes, and what is too long") {
  const auto varlong = [](std::int64_t value) {
    Bytes out;
    Writer(out).varlong(value);
    return out;
  };
  CHECK(varlong(0) == Bytes{0});
  CHECK(varlong(-1) == Bytes{1});
  CHECK(varlong(1) == Bytes{2});
  CHECK(varlong(-64) == Bytes{0x7f});
  CHECK(varlong(64) == Bytes{0x80, 1});
  CHECK(varlong(300) == Bytes{0xd8, 4});
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max(), std::int64_t{1} << 40}) {
    const Bytes bytes = varlong(value);
    CHECK(Reader(bytes).varlong() == value);
  }
  for (const std::int32_t value :
       {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()}) {
    Bytes out;
    Writer(out).varint(value);
    CHECK(out.size() == 5);
    CHECK(Reader(out).varint() == value);
  }
  const Bytes endless(11, 0x80);
  Reader long_one(endless);
  long_one.varlong();
  CHECK(long_one.failure() == "varint longer than 10 bytes");
  Reader long_two(endless);
  long_two.uvarint();
  CHECK(long_two.failure() == "varint longer than 5 bytes");
  const Bytes wide = {0xff, 0xff, 0xff, 0xff, 0x1f};
  Reader too_wide(wide);
  too_wide.uvarint();
  CHECK(too_wide.failure() == "varint exceeds 32 bits");
}

TEST_CASE("lengths are believed only as far as there are bytes") {
  const Bytes lying = {0x7f, 0xff, 0xff, 0xff, 1, 2};
  Reader array(lying);
  CHECK_FALSE(array.array_count(Style::old).has_value());
  CHECK_FALSE(array.ok());
  Reader bytes(lying);
  CHECK_FALSE(bytes.bytes(Style::old).has_value());
  CHECK(bytes.failure() == "needs 2147483647 bytes, 2 left");
  const Bytes negative = {0xff, 0xfe, 0, 0};
  Reader text(negative);
  CHECK_FALSE(text.string(Style::old).has_value());
  CHECK(text.failure() == "string length -2");
  Bytes compact_long;
  Writer(compact_long).uvarint(40000);
  compact_long.resize(50000);
  Reader long_text(compact_long);
  CHECK_FALSE(long_text.string(Style::compact).has_value());
  const Bytes null_text = {0};
  Reader null(null_text);
  CHECK_FALSE(null.string(Style::compact).has_value());
  CHECK(null.ok());
  // The first failure stays, and everything after it reads as zero.
  Reader sticky(ByteView{});
  CHECK(sticky.integer<std::int64_t>() == 0);
  CHECK(sticky.failure() == "needs 8 bytes, 0 left");
  CHECK(sticky.take(3).empty());
  CHECK(sticky.failure() == "needs 8 bytes, 0 left");
}

TEST_CASE("bytes are shared with the reader's buffer, not copied") {
  const Slice frame = Slice::own({0, 0, 0, 2, 8, 9});
  Reader reader(frame);
  const std::optional<Slice> part = reader.bytes(Style::old);
  REQUIRE(part.has_value());
  CHECK(part->view.data() == frame.view.data() + 4);
  CHECK(part->owner == frame.owner);
}

TEST_CASE("frames come out whole however the stream is cut") {
  Random random(5);
  std::vector<Bytes> frames;
  Bytes stream;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{70000}, std::size_t{65532},
                                 std::size_t{65533}, std::size_t{300000}, std::size_t{5}}) {
    Bytes content(size);
    for (auto& byte : content) byte = static_cast<std::uint8_t>(random.next());
    Bytes head(4);
    store_be<std::int32_t>(head.data(), static_cast<std::int32_t>(size));
    stream.insert(stream.end(), head.begin(), head.end());
    stream.insert(stream.end(), content.begin(), content.end());
    frames.push_back(std::move(content));
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, std::size_t{1} << 20}) {
    FrameReader reader(1 << 20);
    std::size_t fed = 0;
    std::size_t seen = 0;
    while (fed < stream.size()) {
      const MutableByteView space = reader.space();
      REQUIRE_FALSE(space.empty());
      const std::size_t count = std::min({space.size(), step, stream.size() - fed});
      std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(fed), count, space.begin());
      reader.commit(count);
      fed += count;
      while (true) {
        const Result<std::optional<Slice>> frame = reader.next();
        REQUIRE(frame.has_value());
        if (!*frame) break;
        REQUIRE(seen < frames.size());
        CHECK(std::equal(frames[seen].begin(), frames[seen].end(), (*frame)->view.begin(), (*frame)->view.end()));
        ++seen;
      }
    }
    CHECK(seen == frames.size());
  }
}

TEST_CASE("a frame size that cannot be is an error") {
  for (const std::int32_t size : {-1, 1001, 0x47455420 /* "GET " */}) {
    FrameReader reader(1000);
    store_be<std::int32_t>(reader.space().data(), size);
    reader.commit(4);
    const Result<std::optional<Slice>> frame = reader.next();
    REQUIRE_FALSE(frame.has_value());
    CHECK(frame.error().code == Errc::corrupt);
  }
}

TEST_CASE("error codes have Kafka's numbers and names") {
  CHECK(static_cast<int>(ErrorCode::not_leader_or_follower) == 6);
  CHECK(static_cast<int>(ErrorCode::rebootstrap_required) == 129);
  CHECK(error_name(ErrorCode::unknown_server_error) == "UNKNOWN_SERVER_ERROR");
  CHECK(error_name(ErrorCode::fenced_leader_epoch) == "FENCED_LEADER_EPOCH");
  CHECK(error_name(static_cast<ErrorCode>(999)) == "UNKNOWN_ERROR_CODE");
  CHECK(is_retriable(ErrorCode::not_enough_replicas_after_append));
  CHECK_FALSE(is_retriable(ErrorCode::message_too_large));
  CHECK_FALSE(is_retriable(ErrorCode::out_of_order_sequence_number));
}

TEST_CASE("every codec gives back what it was given, and stops at the limit") {
  Random random(6);
  for (const Codec codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    CHECK(find_codec(codec_name(codec)) == codec);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, std::size_t{65536},
                                   std::size_t{200000}, std::size_t{1} << 20}) {
      Bytes plain(size);
      for (std::size_t i = 0; i < size; ++i) {
        plain[i] = random.chance(1, 8) ? static_cast<std::uint8_t>(random.next()) : static_cast<std::uint8_t>(i / 50);
      }
      const Bytes packed = compress(codec, plain);
      const Result<Bytes> back = decompress(codec, packed, size);
      REQUIRE_MESSAGE(back.has_value(), codec_name(codec), " ", size, " ", back ? "" : back.error().text);
      CHECK(*back == plain);
      if (size > 0) {
        const Result<Bytes> limited = decompress(codec, packed, size - 1);
        REQUIRE_FALSE(limited.has_value());
        CHECK(limited.error().code == Errc::out_of_range);
      }
    }
  }
  CHECK_FALSE(find_codec("brotli").has_value());
  CHECK(decompress(static_cast<Codec>(5), {}, 10).error().code == Errc::unsupported);
}

TEST_CASE("damaged and truncated compressed bytes are errors, never a crash or a flood") {
  Random random(7);
  Bytes plain(5000);
  for (auto& byte : plain) byte = static_cast<std::uint8_t>(random.below(4));
  for (const Codec codec : {Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    const Bytes packed = compress(codec, plain);
    for (std::size_t size = 0; size < packed.size(); size += 1 + size / 16) {
      const Result<Bytes> cut = decompress(codec, ByteView(packed).first(size), 1 << 20);
      if (cut) CHECK(cut->size() < plain.size());  // xerial snappy may end after a whole block
    }
    for (int i = 0; i < 300; ++i) {
      Bytes damaged = packed;
      damaged[random.below(damaged.size())] ^= static_cast<std::uint8_t>(1 << random.below(8));
      const Result<Bytes> back = decompress(codec, damaged, 1 << 20);
      if (back) CHECK(back->size() <= 1 << 20);
    }
  }
  // A raw snappy block that claims 4 GB, and a bomb: a million zeros under a limit of a thousand.
  const Bytes liar = {0xff, 0xff, 0xff, 0xff, 0x0f, 0};
  CHECK_FALSE(decompress(Codec::snappy, liar, 1 << 20).has_value());
  const Bytes zeros(1 << 20);
  for (const Codec codec : {Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    CHECK(decompress(codec, compress(codec, zeros), 1000).error().code == Errc::out_of_range);
  }
}

TEST_CASE("snappy is read both as xerial blocks and as one raw block") {
  // "aaaaaaaa": length 8, a literal of 1, a copy of 7 from offset 1 (one-byte-offset tag).
  const Bytes raw = {8, 0x00, 'a', 0x0d, 0x01};
  const Bytes plain(8, 'a');
  CHECK(decompress(Codec::snappy, raw, 100) == plain);
  Bytes xerial = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
  for (int i = 0; i < 2; ++i) {
    xerial.insert(xerial.end(), {0, 0, 0, 5});
    xerial.insert(xerial.end(), raw.begin(), raw.end());
  }
  CHECK(decompress(Codec::snappy, xerial, 100) == Bytes(16, 'a'));
  const Bytes written = compress(Codec::snappy, plain);
  CHECK(std::equal(xerial.begin(), xerial.begin() + 16, written.begin()));
}
