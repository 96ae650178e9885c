// Small frames are cut from one chunk so that a read may bring many; a frame larger than the chunk gets its own buffer.
#include "broker/wire/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "broker/base/check.h"

namespace ordeal::wire {
namespace {
constexpr std::size_t kChunk = 64 << 10;
constexpr std::size_t kSizeField = 4;
}  // namespace

MutableByteView FrameReader::space() {
  if (large_) {
    if (large_filled_ == large_->size()) large_->resize(std::min(large_size_, large_->size() * 2));
    return MutableByteView(*large_).subspan(large_filled_);
  }
  if (chunk_.empty()) chunk_.resize(kChunk);
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == chunk_.size()) {
    std::memmove(chunk_.data(), chunk_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return MutableByteView(chunk_).subspan(end_);
}

void FrameReader::commit(std::size_t count) {
  if (large_) {
    large_filled_ += count;
    ORDEAL_CHECK(large_filled_ <= large_->size());
  } else {
    end_ += count;
    ORDEAL_CHECK(end_ <= chunk_.size());
  }
}

Result<std::optional<Slice>> FrameReader::next() {
  if (large_) {
    if (large_filled_ < large_size_) return std::nullopt;
    Slice frame = Slice::own(std::move(*large_));
    large_.reset();
    return frame;
  }
  const std::size_t waiting = end_ - begin_;
  if (waiting < kSizeField) return std::nullopt;
  const auto size = load_be<std::int32_t>(chunk_.data() + begin_);
  if (size < 0 || static_cast<std::size_t>(size) > frame_max_) {
    return fail(Errc::corrupt, fmt::format("frame of {} bytes, limit {}", size, frame_max_));
  }
  const std::size_t wanted = static_cast<std::size_t>(size);
  const std::uint8_t* from = chunk_.data() + begin_ + kSizeField;
  const std::size_t here = std::min(wanted, waiting - kSizeField);
  if (here == wanted) {
    begin_ += kSizeField + wanted;
    return Slice::own(Bytes(from, from + wanted));
  }
  if (kSizeField + wanted <= kChunk) return std::nullopt;
  large_size_ = wanted;
  large_filled_ = here;
  large_.emplace();
  large_->reserve(std::min(wanted, kChunk * 4));
  large_->assign(from, from + here);
  large_->resize(std::min(wanted, kChunk * 4));
  begin_ = end_ = 0;
  return std::nullopt;
}

}  // namespace ordeal::wire
