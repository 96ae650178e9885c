#include "faults/sim/sim_disk.h"

#include <doctest/doctest.h>

#include <set>

namespace ordeal::sim {
namespace {

struct Fixture {
  explicit Fixture(std::uint64_t seed = 1)
      : random(seed), loop(LoopOptions{}, digest), disk(loop, 1, random.fork("disk")) {}
  Digest digest;
  Random random;
  SimLoop loop;
  SimDisk disk;
};

std::unique_ptr<env::File> open(env::Disk& disk, const std::string& path, env::OpenMode mode = env::OpenMode::create) {
  auto file = disk.open(path, mode);
  REQUIRE_MESSAGE(file.has_value(), path);
  return std::move(*file);
}

void write(env::Disk& disk, const std::string& path, std::string_view text, std::uint64_t offset = 0) {
  auto file = open(disk, path);
  REQUIRE(file->write_at(offset, as_bytes(text)).has_value());
}

void make_durable(env::Disk& disk, const std::string& path, std::string_view text) {
  write(disk, path, text);
  REQUIRE(open(disk, path)->sync().has_value());
  REQUIRE(disk.sync_directory(path.substr(0, path.rfind('/'))).has_value());
}

std::string content(const SimDisk& disk, const std::string& path) {
  auto bytes = disk.cached(path);
  return bytes ? std::string(as_text(*bytes)) : "(none)";
}

// A durable directory /d.
void make_directory(env::Disk& disk) {
  REQUIRE(disk.create_directories("/d").has_value());
  REQUIRE(disk.sync_directory("/").has_value());
}

}  // namespace

TEST_CASE("files read back what was written, with holes as zeros") {
  Fixture world;
  DiskHandle handle(world.disk);
  REQUIRE(handle.create_directories("/d/e").has_value());
  write(handle, "/d/e/f", "tail", 4);
  Bytes buffer(16);
  auto got = open(handle, "/d/e/f")->read_at(0, buffer);
  CHECK(got.value() == 8);
  CHECK(as_text(ByteView(buffer).first(8)) == std::string_view("\0\0\0\0tail", 8));
  CHECK(open(handle, "/d/e/f")->read_at(8, buffer).value() == 0);
  CHECK(handle.open("/d/e/f", env::OpenMode::create_new).error().code == Errc::already_exists);
  CHECK(handle.open("/d/e/g", env::OpenMode::read).error().code == Errc::not_found);
  CHECK(handle.open("/x/g", env::OpenMode::create).error().code == Errc::not_found);
  auto entries = handle.list("/d/e");
  REQUIRE(entries.has_value());
  REQUIRE(entries->size() == 1);
  CHECK(entries->front().name == "f");
  CHECK(entries->front().size == 8);
  CHECK(handle.remove("/d").error().code == Errc::io);
  REQUIRE(handle.remove_tree("/d").has_value());
  CHECK_FALSE(handle.exists("/d"));
  CHECK(handle.list("/d").error().code == Errc::not_found);
}

TEST_CASE("a killed process loses nothing it had written") {
  Fixture world;
  auto handle = std::make_unique<DiskHandle>(world.disk);
  make_directory(*handle);
  write(*handle, "/d/f", "unsynced");
  handle->freeze();
  CHECK(content(world.disk, "/d/f") == "unsynced");
}

TEST_CASE("a frozen handle refuses every call, and its open files with it") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  auto file = open(handle, "/d/f");
  handle.freeze();
  Bytes buffer(4);
  CHECK(file->write_at(0, as_bytes("x")).error().code == Errc::io);
  CHECK(file->read_at(0, buffer).error().code == Errc::io);
  CHECK(file->sync().error().code == Errc::io);
  CHECK(handle.open("/d/f", env::OpenMode::read).error().code == Errc::io);
  CHECK(handle.sync_directory("/d").error().code == Errc::io);
  DiskHandle next(world.disk);
  CHECK(open(next, "/d/f", env::OpenMode::read)->size().value() == 0);
}

TEST_CASE("a power cut keeps what was synced and, of the rest, any part") {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Fixture world(seed);
    DiskHandle handle(world.disk);
    make_directory(handle);
    make_durable(handle, "/d/f", "SYNC");
    write(handle, "/d/f", "abc", 4);
    write(handle, "/d/f", "def", 7);
    world.disk.power_cut();
    const std::string left = content(world.disk, "/d/f");
    CHECK(left.starts_with("SYNC"));
    CHECK(left.size() <= 10);
    for (std::size_t i = 4; i < left.size(); ++i) CHECK((left[i] == "SYNCabcdef"[i] || left[i] == '\0'));
    outcomes.insert(left);
  }
  CHECK(outcomes.contains("SYNC"));
  CHECK(outcomes.contains("SYNCabcdef"));
  CHECK(outcomes.contains(std::string("SYNC\0\0\0def", 10)));  // the later write alone
  CHECK(outcomes.contains("SYNCa"));                           // torn
}

TEST_CASE("a name is durable only once its directory was synced") {
  int kept = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Fixture world(seed);
    DiskHandle handle(world.disk);
    make_directory(handle);
    write(handle, "/d/new", "data");
    REQUIRE(open(handle, "/d/new")->sync().has_value());
    make_durable(handle, "/d/old", "data");  // syncs /d as well
    write(handle, "/d/later", "data");
    REQUIRE(open(handle, "/d/later")->sync().has_value());
    world.disk.power_cut();
    CHECK(content(world.disk, "/d/new") == "data");
    CHECK(content(world.disk, "/d/old") == "data");
    if (content(world.disk, "/d/later") == "data") ++kept;
  }
  CHECK(kept > 10);
  CHECK(kept < 90);
}

TEST_CASE("replacing a file leaves the old or the new one whole at every crash point") {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Fixture world(seed);
    DiskHandle first(world.disk);
    make_directory(first);
    make_durable(first, "/d/f", "old");
    world.disk.crash_in_call(1 + seed % 7, CrashKind::power);
    bool crashed = false;
    world.disk.on_crash([&](CrashKind) { crashed = true, world.disk.power_cut(); });
    const Status replaced = first.replace_file("/d/f", as_bytes("new"));
    world.disk.disarm_crash();
    if (!crashed) world.disk.power_cut();
    const std::string left = content(world.disk, "/d/f");
    CHECK((left == "old" || left == "new"));
    if (replaced) CHECK(left == "new");
    outcomes.insert(left + (crashed ? " crashed" : ""));
  }
  CHECK(outcomes == std::set<std::string>{"new", "new crashed", "old crashed"});
}

TEST_CASE("a failed sync loses the bytes for good, whatever later syncs say") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  make_durable(handle, "/d/f", "AAAA");
  write(handle, "/d/f", "BBBB", 4);
  world.disk.inject({.op = FileOp::sync, .path_part = "/d/f"});
  auto file = open(handle, "/d/f");
  CHECK(file->sync().error().code == Errc::io);
  CHECK(file->sync().has_value());
  CHECK(content(world.disk, "/d/f") == "AAAABBBB");
  world.disk.power_cut();
  CHECK(content(world.disk, "/d/f") == "AAAA");
}

TEST_CASE("a full disk refuses growth but not overwriting") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  world.disk.set_capacity(10);
  write(handle, "/d/f", "12345678");
  CHECK_FALSE(world.disk.has_failed());
  auto file = open(handle, "/d/f");
  CHECK(file->write_at(8, as_bytes("123")).error().code == Errc::no_space);
  CHECK(file->preallocate(11).error().code == Errc::no_space);
  CHECK(file->write_at(0, as_bytes("87654321")).has_value());
  CHECK(world.disk.used_bytes() == 8);
  CHECK(world.disk.has_failed());
  REQUIRE(handle.remove("/d/f").has_value());
  CHECK(world.disk.used_bytes() == 0);
}

TEST_CASE("injected faults hit the matching calls only, after the skipped ones") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  world.disk.inject({.op = FileOp::write, .path_part = ".log", .error = Errc::io, .skip = 1, .count = 2});
  auto log = open(handle, "/d/a.log");
  auto other = open(handle, "/d/a.index");
  CHECK(log->write_at(0, as_bytes("1")).has_value());
  CHECK(other->write_at(0, as_bytes("1")).has_value());
  CHECK_FALSE(log->write_at(1, as_bytes("2")).has_value());
  CHECK_FALSE(log->write_at(1, as_bytes("2")).has_value());
  CHECK(log->write_at(1, as_bytes("2")).has_value());
}

TEST_CASE("a crash in a call freezes the handle and is reported once") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  int crashes = 0;
  world.disk.on_crash([&crashes](CrashKind kind) { crashes += kind == CrashKind::process ? 1 : 100; });
  world.disk.crash_in_call(2, CrashKind::process);
  auto file = open(handle, "/d/f");  // the first changing call
  CHECK_FALSE(file->write_at(0, as_bytes("12345678")).has_value());
  CHECK(handle.frozen());
  CHECK_FALSE(file->write_at(0, as_bytes("1")).has_value());
  CHECK(crashes == 1);
  CHECK(std::string("12345678").starts_with(content(world.disk, "/d/f")));
}

TEST_CASE("a flipped bit shows in cache and on the platter") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  make_durable(handle, "/d/f", "a");
  REQUIRE(world.disk.flip_bit("/d/f", 0, 1).has_value());
  CHECK(content(world.disk, "/d/f") == "c");
  CHECK(as_text(*world.disk.durable("/d/f")) == "c");
  CHECK(world.disk.flip_bit("/d/f", 1, 0).error().code == Errc::out_of_range);
}

TEST_CASE("a short write leaves a part and says so") {
  std::set<std::size_t> lengths;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Fixture world(seed);
    DiskHandle handle(world.disk);
    make_directory(handle);
    world.disk.inject({.error = Errc::no_space, .kind = DiskFault::Kind::short_write, .name = "s"});
    auto file = open(handle, "/d/f");
    CHECK(file->write_at(0, as_bytes("1234")).error().code == Errc::no_space);
    CHECK(std::string("123").starts_with(content(world.disk, "/d/f")));
    lengths.insert(content(world.disk, "/d/f").size());
    CHECK(world.disk.fault_hits("s") == 1);
    CHECK(file->write_at(0, as_bytes("1234")).has_value());
  }
  CHECK(lengths == std::set<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("a lying sync keeps nothing, and an honest one after it everything") {
  for (const bool honest : {false, true}) {
    Fixture world;
    DiskHandle handle(world.disk);
    make_directory(handle);
    make_durable(handle, "/d/f", "");
    world.disk.inject({.op = FileOp::any, .count = kUntilHealed, .kind = DiskFault::Kind::lie, .name = "l"});
    write(handle, "/d/f", "AAAA");
    auto file = open(handle, "/d/f");
    CHECK(file->sync().has_value());
    CHECK(world.disk.durable("/d/f")->empty());
    CHECK(world.disk.faulty("l"));
    world.disk.heal("l");
    CHECK_FALSE(world.disk.faulty("l"));
    if (honest) CHECK(file->sync().has_value());
    CHECK(world.disk.durable("/d/f")->size() == (honest ? 4 : 0));
  }
}

TEST_CASE("a corrupt read turns one bit of what it returns, and only of that") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  write(handle, "/d/f", "aaaaaaaa");
  world.disk.inject({.op = FileOp::read, .kind = DiskFault::Kind::corrupt_read});
  auto file = open(handle, "/d/f");
  Bytes first(8);
  Bytes second(8);
  CHECK(file->read_at(0, first).value() == 8);
  CHECK(file->read_at(0, second).value() == 8);
  int bits = 0;
  for (const std::uint8_t byte : first) bits += __builtin_popcount(byte ^ 'a');
  CHECK(bits == 1);
  CHECK(as_text(second) == "aaaaaaaa");
}

TEST_CASE("a lookup that is struck says no to what is there; a fault of any call leaves lookups alone") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  write(handle, "/d/f", "a");
  world.disk.inject({.op = FileOp::any, .path_part = "/d/f", .count = kUntilHealed, .name = "any"});
  CHECK(handle.exists("/d/f"));
  world.disk.heal("any");
  CHECK_FALSE(world.disk.has_failed());
  world.disk.inject({.op = FileOp::exists, .path_part = "/d/f"});
  CHECK(handle.exists("/d"));
  CHECK_FALSE(handle.exists("/d/f"));
  CHECK(world.disk.has_failed());
  CHECK(handle.exists("/d/f"));
}

TEST_CASE("a crash waits for a call on the paths it is meant for") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  int crashes = 0;
  world.disk.on_crash([&crashes](CrashKind) { ++crashes; });
  world.disk.crash_in_call(2, CrashKind::process, ".log");
  write(handle, "/d/a.index", "1");
  auto file = open(handle, "/d/a.log");
  write(handle, "/d/b.index", "1");
  CHECK(crashes == 0);
  CHECK_FALSE(file->write_at(0, as_bytes("1")).has_value());
  CHECK(crashes == 1);
}

TEST_CASE("a drawn bit falls into a file that matches") {
  Fixture world;
  DiskHandle handle(world.disk);
  make_directory(handle);
  write(handle, "/d/a.log", "aaaa");
  write(handle, "/d/b.index", "bbbb");
  Random random(5);
  const Result<std::string> where = world.disk.flip_drawn_bit(".log", random);
  REQUIRE(where.has_value());
  CHECK(where->starts_with("/d/a.log byte "));
  CHECK(content(world.disk, "/d/a.log") != "aaaa");
  CHECK(content(world.disk, "/d/b.index") == "bbbb");
  CHECK(world.disk.flip_drawn_bit(".none", random).error().code == Errc::not_found);
}

}  // namespace ordeal::sim
