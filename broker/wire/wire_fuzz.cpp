// libFuzzer: arbitrary bytes through every door of the wire layer. The first byte picks the door.
#include "broker/wire/api.h"
#include "broker/wire/frame.h"
#include "broker/wire/messages/all.h"
#include "broker/wire/record_batch.h"

using namespace ordeal;
using namespace ordeal::wire;

namespace {

void walk_batches(ByteView bytes) {
  BatchIterator it(bytes);
  while (const std::optional<BatchView> batch = it.next()) {
    (void)batch->crc_ok();
    (void)batch->last_sequence();
    Result<RecordReader> reader = RecordReader::open(*batch, 1 << 20);
    if (!reader) continue;
    Record record;
    while (true) {
      const Result<bool> more = reader->next(record);
      if (!more || !*more) break;
      if (batch->is_control()) (void)parse_control_record(record);
    }
  }
}

template <class T>
void decode_at(const Slice& body, std::int16_t version) {
  const Result<T> message = decode<T>(body, version);
  if (!message) return;
  Bytes again;
  encode(*message, version, again);
}

void decode_everything(const Slice& body) {
  for_each_request([&]<class Request>() {
    const ApiVersionRange& api = api_of(Request::kKey);
    for (std::int16_t version = api.supported.from; version <= api.supported.to; ++version) {
      decode_at<Request>(body, version);
      decode_at<typename Request::Response>(body, version);
    }
  });
}

void serve(const Slice& frame) {
  const Result<DecodedHeader> header = decode_request_header(frame);
  if (!header || !header->supported) return;
  for_each_request([&]<class Request>() {
    if (header->header.api_key == static_cast<std::int16_t>(Request::kKey)) {
      decode_at<Request>(header->body, header->header.api_version);
    }
  });
}

void cut_frames(ByteView bytes) {
  FrameReader reader(1 << 20);
  while (!bytes.empty()) {
    const MutableByteView space = reader.space();
    const std::size_t count = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), count, space.begin());
    reader.commit(count);
    bytes = bytes.subspan(count);
    while (true) {
      const Result<std::optional<Slice>> frame = reader.next();
      if (!frame) return;
      if (!*frame) break;
      serve(**frame);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest(data + 1, data + size);
  switch (data[0] % 5) {
    case 0:
      walk_batches(rest);
      break;
    case 1:
      decode_everything(Slice::own(rest));
      break;
    case 2:
      serve(Slice::own(rest));
      break;
    case 3:
      cut_frames(rest);
      break;
    default:
      if (!rest.empty()) (void)decompress(static_cast<Codec>(rest[0] % 6), ByteView(rest).subspan(1), 1 << 20);
      break;
  }
  return 0;
}
