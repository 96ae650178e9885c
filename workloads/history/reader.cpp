// Mapping, verifying and joining history files.
#include "workloads/history/reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

#include "broker/base/check.h"
#include "workloads/history/codec.h"

namespace ordeal::history {
namespace {

std::unexpected<Error> damage(const std::string& name, std::size_t at, std::string_view what) {
  return fail(Errc::corrupt, fmt::format("{} at byte {}: {}", name, at, what));
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

struct Parser {
  const std::string& name;
  ByteView bytes;
  FileView view;
  std::size_t at = 0;
  std::uint32_t sequence = 0;

  void torn() {
    view.torn_bytes = bytes.size() - at;
    at = bytes.size();
  }

  Status header() {
    if (bytes.size() < codec::kFilePrefix || std::memcmp(bytes.data(), codec::kFileMagic.data(), 8) != 0)
      return damage(name, 0, "not a history file");
    std::uint32_t length = 0;
    std::uint32_t crc = 0;
    std::memcpy(&length, bytes.data() + 8, 4);
    std::memcpy(&crc, bytes.data() + 12, 4);
    if (length > bytes.size() - codec::kFilePrefix) return damage(name, 8, "the file ends inside its header");
    const ByteView proto = bytes.subspan(codec::kFilePrefix, length);
    if (crc32c(proto) != crc) return damage(name, codec::kFilePrefix, "the header's checksum is wrong");
    auto header = codec::decode_header(proto);
    if (!header) return fail(header.error().at(name));
    view.header = std::move(*header);
    at = std::min(bytes.size(), codec::padded(codec::kFilePrefix + length));
    return {};
  }

  Status block() {
    codec::BlockHeader head;
    if (bytes.size() - at < sizeof head || all_zero(bytes.subspan(at))) {
      torn();  // cut inside a block header, or space the file system gave but nobody wrote
      return {};
    }
    std::memcpy(&head, bytes.data() + at, sizeof head);
    if (head.magic != codec::kBlockMagic) return damage(name, at, "no block begins here");
    if (head.header_crc != head.compute_crc()) return damage(name, at, "the block header's checksum is wrong");
    if (head.record_count > codec::kMaxBlockRecords || head.side_bytes > codec::kMaxSideBytes)
      return damage(name, at, "an impossible block size");
    if (head.sequence != sequence)
      return damage(name, at, fmt::format("block {} where block {} belongs", head.sequence, sequence));
    if (head.body_bytes() > bytes.size() - at - sizeof head) {
      torn();
      return {};
    }
    ORDEAL_TRY(body(head));
    ++sequence;
    at = std::min(bytes.size(), at + codec::padded(sizeof head + head.body_bytes()));
    return {};
  }

  Status body(const codec::BlockHeader& head) {
    const std::size_t records_at = at + sizeof head;
    if (crc32c(bytes.subspan(records_at, head.body_bytes())) != head.body_crc)
      return damage(name, at, "the block's checksum is wrong");
    const std::span records(reinterpret_cast<const Record*>(bytes.data() + records_at), head.record_count);
    for (const Record& record : records) {
      if (const char* problem = codec::record_problem(record, view.header.objects.size()))
        return damage(name, static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(&record) - bytes.data()),
                      fmt::format("a record with {}", problem));
    }
    if (!records.empty()) view.blocks.push_back(records);
    const std::size_t side_at = records_at + records.size_bytes();
    if (head.side_bytes > 0) {
      if (auto side = codec::decode_side(bytes.subspan(side_at, head.side_bytes), view.side); !side)
        return damage(name, side_at, side.error().text);
    }
    if ((head.flags & codec::kFlagLast) != 0) view.closed = true;
    return {};
  }

  Status parse() {
    ORDEAL_TRY(header());
    while (at < bytes.size()) {
      if (view.closed) return damage(name, at, "bytes after the closing block");
      ORDEAL_TRY(block());
    }
    return {};
  }
};

struct Mapping {
  void* at = nullptr;
  std::size_t size = 0;
  Mapping(void* address, std::size_t length) : at(address), size(length) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(at, size); }
};

Result<std::shared_ptr<Mapping>> map_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const Errc code = errno == ENOENT ? Errc::not_found : Errc::io;
    return fail(code, fmt::format("{}: {}", path, std::strerror(errno)));
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
    ::close(fd);
    return fail(Errc::corrupt, path + " at byte 0: not a history file");
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  const int map_errno = errno;
  ::close(fd);
  if (address == MAP_FAILED) return fail(Errc::io, fmt::format("{}: cannot map: {}", path, std::strerror(map_errno)));
  return std::make_shared<Mapping>(address, size);
}

}  // namespace

Result<FileView> read_bytes(std::string name, ByteView bytes) {
  ORDEAL_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(Record) == 0, "history bytes are not aligned");
  Parser parser{name, bytes, {}, 0, 0};
  ORDEAL_TRY(parser.parse());
  parser.view.name = std::move(name);
  return std::move(parser.view);
}

Result<FileView> read_file(const std::string& path) {
  auto mapping = map_file(path);
  if (!mapping) return fail(mapping.error());
  auto view = read_bytes(path, {static_cast<const std::uint8_t*>((*mapping)->at), (*mapping)->size});
  if (view) view->storage = std::move(*mapping);
  return view;
}

Result<History> join(std::vector<FileView> files) {
  std::set<std::string> writers;
  for (const FileView& file : files) {
    if (file.header.run_id != files.front().header.run_id)
      return fail(Errc::invalid_argument, fmt::format("{} is of run \"{}\", {} is of run \"{}\"", files.front().name,
                                                      files.front().header.run_id, file.name, file.header.run_id));
    if (!writers.insert(file.header.writer).second)
      return fail(Errc::invalid_argument,
                  fmt::format("{}: a second file of writer \"{}\"", file.name, file.header.writer));
  }
  History history;
  for (const FileView& file : files) {
    if (file.torn_bytes > 0)
      history.notes.push_back(
          fmt::format("{} ends in an unfinished block: {} bytes left out, operations without a "
                      "completion count as unknown",
                      file.name, file.torn_bytes));
    else if (!file.closed)
      history.notes.push_back(
          fmt::format("{} was not closed by its writer: its last operations may be missing and "
                      "count as unknown",
                      file.name));
  }
  history.files = std::move(files);
  return history;
}

Result<History> read_files(const std::vector<std::string>& paths) {
  if (paths.empty()) return fail(Errc::not_found, "no history files");
  std::vector<FileView> files;
  for (const std::string& path : paths) {
    auto file = read_file(path);
    if (!file) return fail(file.error());
    files.push_back(std::move(*file));
  }
  return join(std::move(files));
}

Result<History> read_folder(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".ohist") paths.push_back(entry.path().string());
  }
  if (error) return fail(Errc::not_found, fmt::format("{}: {}", folder, error.message()));
  if (paths.empty()) return fail(Errc::not_found, folder + ": no *.ohist file");
  std::ranges::sort(paths);
  return read_files(paths);
}

}  // namespace ordeal::history
