// Conveniences over the Stream and Disk interfaces that are the same in both worlds.
#include "broker/env/disk.h"
#include "broker/env/network.h"

#include <fmt/format.h>

namespace ordeal::env {

Task<Status> Stream::write_all(ByteView bytes) {
  ByteView parts[] = {bytes};
  Status written = co_await write(std::span<const ByteView>(parts));
  co_return written;
}

Task<Status> Stream::read_exact(MutableByteView buffer) {
  while (!buffer.empty()) {
    Result<std::size_t> got = co_await read_some(buffer);
    if (!got) co_return fail(got.error());
    buffer = buffer.subspan(*got);
  }
  co_return Status{};
}

Result<Bytes> Disk::read_file(const std::string& path, std::uint64_t size_max) {
  auto file = open(path, OpenMode::read);
  if (!file) return fail(file.error());
  const auto size = (*file)->size();
  if (!size) return fail(size.error());
  if (*size > size_max)
    return fail(Errc::corrupt, fmt::format("{}: {} bytes, more than the {} expected", path, *size, size_max));
  Bytes content(*size);
  const auto got = (*file)->read_at(0, content);
  if (!got) return fail(got.error());
  content.resize(*got);
  return content;
}

Status Disk::replace_file(const std::string& path, ByteView content) {
  const std::string temporary = path + ".tmp";
  {
    auto file = open(temporary, OpenMode::create);
    if (!file) return fail(file.error());
    ORDEAL_TRY((*file)->truncate(0));
    ORDEAL_TRY((*file)->write_at(0, content));
    ORDEAL_TRY((*file)->sync());
  }
  ORDEAL_TRY(rename(temporary, path));
  const auto slash = path.rfind('/');
  return sync_directory(slash == std::string::npos ? "." : path.substr(0, slash));
}

}  // namespace ordeal::env
