// Codec plumbing. Every decoder here grows its output in steps and stops at the limit, whatever the input claims.
#include "broker/wire/compression.h"

#include <fmt/format.h>
#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "broker/base/check.h"

namespace ordeal::wire {
namespace {

constexpr std::size_t kStep = 64 << 10;
constexpr std::size_t kXerialBlock = 32 << 10;
constexpr std::uint8_t kXerialMagic[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
constexpr std::size_t kXerialHeader = 16;  // magic, version, compatible version

std::unexpected<Error> damaged(Codec codec, std::string_view why) {
  return fail(Errc::corrupt, fmt::format("{}: {}", codec_name(codec), why));
}
std::unexpected<Error> too_big(Codec codec, std::size_t size_max) {
  return fail(Errc::out_of_range, fmt::format("{}: more than {} bytes come out", codec_name(codec), size_max));
}

// Output that doubles up to one byte past the limit: reaching that byte is the proof that the limit is broken.
class Growing {
 public:
  explicit Growing(std::size_t size_max) : limit_(size_max + 1) { bytes_.resize(std::min(limit_, kStep)); }
  MutableByteView space() {
    if (used_ == bytes_.size()) bytes_.resize(std::min(limit_, bytes_.size() * 2));
    return MutableByteView(bytes_).subspan(used_);
  }
  void commit(std::size_t count) { used_ += count; }
  bool over() const { return used_ == limit_; }
  Bytes take() {
    bytes_.resize(used_);
    return std::move(bytes_);
  }

 private:
  std::size_t limit_;
  Bytes bytes_;
  std::size_t used_ = 0;
};

Bytes gzip_compress(ByteView in) {
  z_stream stream{};
  ORDEAL_CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out(deflateBound(&stream, in.size()));
  stream.next_in = const_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  ORDEAL_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Result<Bytes> gzip_decompress(ByteView in, std::size_t size_max) {
  z_stream stream{};
  ORDEAL_CHECK(inflateInit2(&stream, 15 + 16) == Z_OK);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream, inflateEnd);
  stream.next_in = const_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  Growing out(size_max);
  while (true) {
    const MutableByteView space = out.space();
    stream.next_out = space.data();
    stream.avail_out = static_cast<uInt>(space.size());
    const int code = inflate(&stream, Z_NO_FLUSH);
    out.commit(space.size() - stream.avail_out);
    if (out.over()) return too_big(Codec::gzip, size_max);
    if (code == Z_STREAM_END) {
      if (stream.avail_in == 0) return out.take();
      // Concatenated members are one gzip stream.
      if (inflateReset(&stream) != Z_OK) return damaged(Codec::gzip, "cannot continue after a member");
      continue;
    }
    if (code != Z_OK) return damaged(Codec::gzip, stream.msg != nullptr ? stream.msg : "truncated or damaged");
  }
}

Bytes snappy_compress(ByteView in) {
  Bytes out(std::begin(kXerialMagic), std::end(kXerialMagic));
  const auto put32 = [&out](std::uint32_t number) {
    std::uint8_t word[4];
    store_be<std::uint32_t>(word, number);
    out.insert(out.end(), word, word + 4);
  };
  put32(1);
  put32(1);
  std::string block;
  for (std::size_t from = 0; from < in.size(); from += kXerialBlock) {
    const ByteView part = in.subspan(from, std::min(kXerialBlock, in.size() - from));
    snappy::Compress(reinterpret_cast<const char*>(part.data()), part.size(), &block);
    put32(static_cast<std::uint32_t>(block.size()));
    const ByteView bytes = as_bytes(block);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

Status snappy_block(ByteView block, std::size_t size_max, Bytes& out) {
  const char* data = reinterpret_cast<const char*>(block.data());
  std::size_t length = 0;
  if (!snappy::GetUncompressedLength(data, block.size(), &length)) return damaged(Codec::snappy, "no length");
  if (length > size_max - out.size()) return too_big(Codec::snappy, size_max);
  // Validation walks the block without output, so the claimed length is proven before memory is taken for it.
  if (!snappy::IsValidCompressedBuffer(data, block.size())) return damaged(Codec::snappy, "damaged block");
  const std::size_t at = out.size();
  out.resize(at + length);
  if (!snappy::RawUncompress(data, block.size(), reinterpret_cast<char*>(out.data() + at))) {
    return damaged(Codec::snappy, "damaged block");
  }
  return {};
}

Result<Bytes> snappy_decompress(ByteView in, std::size_t size_max) {
  Bytes out;
  const bool xerial =
      in.size() >= kXerialHeader && std::equal(std::begin(kXerialMagic), std::end(kXerialMagic), in.begin());
  if (!xerial) {
    ORDEAL_TRY(snappy_block(in, size_max, out));
    return out;
  }
  in = in.subspan(kXerialHeader);
  while (!in.empty()) {
    if (in.size() < 4) return damaged(Codec::snappy, "truncated block length");
    const std::uint32_t length = load_be<std::uint32_t>(in.data());
    in = in.subspan(4);
    if (length > in.size()) return damaged(Codec::snappy, "truncated block");
    ORDEAL_TRY(snappy_block(in.first(length), size_max, out));
    in = in.subspan(length);
  }
  return out;
}

Bytes lz4_compress(ByteView in) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;  // what Java's reader insists on
  Bytes out(LZ4F_compressFrameBound(in.size(), &preferences));
  const std::size_t size = LZ4F_compressFrame(out.data(), out.size(), in.data(), in.size(), &preferences);
  ORDEAL_CHECK(!LZ4F_isError(size), "{}", LZ4F_getErrorName(size));
  out.resize(size);
  return out;
}

Result<Bytes> lz4_decompress(ByteView in, std::size_t size_max) {
  LZ4F_dctx* raw = nullptr;
  ORDEAL_CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&raw, LZ4F_VERSION)));
  const std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> context(raw, LZ4F_freeDecompressionContext);
  Growing out(size_max);
  std::size_t hint = 1;
  while (!in.empty()) {
    const MutableByteView space = out.space();
    std::size_t produced = space.size();
    std::size_t consumed = in.size();
    hint = LZ4F_decompress(context.get(), space.data(), &produced, in.data(), &consumed, nullptr);
    if (LZ4F_isError(hint)) return damaged(Codec::lz4, LZ4F_getErrorName(hint));
    out.commit(produced);
    if (out.over()) return too_big(Codec::lz4, size_max);
    if (hint == 0) return out.take();
    if (produced == 0 && consumed == 0) return damaged(Codec::lz4, "no progress");
    in = in.subspan(consumed);
    // The input may be spent while decoded bytes still wait inside the context for room.
    while (in.empty() && produced == space.size()) {
      const MutableByteView more = out.space();
      produced = more.size();
      consumed = 0;
      hint = LZ4F_decompress(context.get(), more.data(), &produced, in.data(), &consumed, nullptr);
      if (LZ4F_isError(hint)) return damaged(Codec::lz4, LZ4F_getErrorName(hint));
      out.commit(produced);
      if (out.over()) return too_big(Codec::lz4, size_max);
      if (hint == 0) return out.take();
      if (produced < more.size()) break;
    }
  }
  return damaged(Codec::lz4, "truncated frame");
}

Bytes zstd_compress(ByteView in) {
  Bytes out(ZSTD_compressBound(in.size()));
  const std::size_t size = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), ZSTD_CLEVEL_DEFAULT);
  ORDEAL_CHECK(!ZSTD_isError(size), "{}", ZSTD_getErrorName(size));
  out.resize(size);
  return out;
}

Result<Bytes> zstd_decompress(ByteView in, std::size_t size_max) {
  const std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(), ZSTD_freeDStream);
  ORDEAL_CHECK(stream != nullptr);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  Growing out(size_max);
  std::size_t hint = 1;
  while (true) {
    const MutableByteView space = out.space();
    ZSTD_outBuffer output{space.data(), space.size(), 0};
    const std::size_t consumed_before = input.pos;
    hint = ZSTD_decompressStream(stream.get(), &output, &input);
    if (ZSTD_isError(hint)) return damaged(Codec::zstd, ZSTD_getErrorName(hint));
    out.commit(output.pos);
    if (out.over()) return too_big(Codec::zstd, size_max);
    if (hint == 0 && input.pos == input.size) return out.take();
    if (output.pos == 0 && input.pos == consumed_before) return damaged(Codec::zstd, "truncated frame");
  }
}

}  // namespace

const char* codec_name(Codec codec) {
  switch (codec) {
    case Codec::none:
      return "none";
    case Codec::gzip:
      return "gzip";
    case Codec::snappy:
      return "snappy";
    case Codec::lz4:
      return "lz4";
    case Codec::zstd:
      return "zstd";
  }
  return "unknown";
}

std::optional<Codec> find_codec(std::string_view name) {
  for (const Codec codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    if (name == codec_name(codec)) return codec;
  }
  return std::nullopt;
}

Bytes compress(Codec codec, ByteView bytes) {
  switch (codec) {
    case Codec::none:
      return {bytes.begin(), bytes.end()};
    case Codec::gzip:
      return gzip_compress(bytes);
    case Codec::snappy:
      return snappy_compress(bytes);
    case Codec::lz4:
      return lz4_compress(bytes);
    case Codec::zstd:
      return zstd_compress(bytes);
  }
  ORDEAL_CHECK(false, "codec {}", static_cast<int>(codec));
  return {};
}

Result<Bytes> decompress(Codec codec, ByteView bytes, std::size_t size_max) {
  switch (codec) {
    case Codec::none:
      if (bytes.size() > size_max) return too_big(codec, size_max);
      return Bytes{bytes.begin(), bytes.end()};
    case Codec::gzip:
      return gzip_decompress(bytes, size_max);
    case Codec::snappy:
      return snappy_decompress(bytes, size_max);
    case Codec::lz4:
      return lz4_decompress(bytes, size_max);
    case Codec::zstd:
      return zstd_decompress(bytes, size_max);
  }
  return fail(Errc::unsupported, fmt::format("compression codec {}", static_cast<int>(codec)));
}

}  // namespace ordeal::wire
