// Files as they are written, killed, damaged and joined.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "workloads/history/codec.h"
#include "workloads/history/export.h"
#include "workloads/history/payload.h"
#include "workloads/history/reader.h"
#include "workloads/history/writer.h"

using namespace ordeal;
using namespace ordeal::history;

namespace {

struct TempDir {
  std::string path;
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ordeal-history-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name) const { return path + "/" + name; }
};

Header header(const std::string& writer = "producer-0") {
  Header h;
  h.run_id = "run-1";
  h.writer = writer;
  h.client_kind = "native";
  h.objects = {{"t", 0}, {"t", 1}};
  h.config = {{"acks", "all"}};
  h.value_first = 0;
  h.value_stride = 1;
  return h;
}

Instant at(std::int64_t ns) { return Instant(Duration(ns)); }

// Three blocks of side entries and records.
void fill(Recorder& recorder) {
  const ErrorDetail timeout{"REQUEST_TIMED_OUT", 7, "no answer", true, "possibly_persisted"};
  recorder.send_invoke(at(10), 1, 0, 0);
  recorder.send_ok(at(20), 1, 0, 0, 5, 3);
  recorder.send_invoke(at(30), 1, 1, 1);
  recorder.send_info(at(40), 1, 1, 1, timeout);
  REQUIRE(recorder.flush());
  recorder.poll_invoke(at(50), 2);
  recorder.read(at(60), 2, 0, 5, 0, 3);
  recorder.read_foreign(at(60), 2, 0, 6, {"bad_crc", 100, "ORDVxyz"});
  recorder.poll_done(at(60), 2, Type::ok, 2);
  REQUIRE(recorder.flush());
  recorder.audit_start(at(70), 3, 0, 0);
  recorder.audit(at(71), 3, 0, 5, 0, 3);
  recorder.audit_batch({0, 5, 5, 3, 1001, 2, 17, 1, ControlType::data, true});
  recorder.producer_reset({1, 45, 1001, 1, 1001, 2, 45, 0, 17, 3});
  recorder.audit_end(at(72), 3, 0, 6, true);
  recorder.note("all good");
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_all(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string jsonl(const History& history) {
  std::ostringstream out;
  REQUIRE(export_jsonl(history, out));
  return out.str();
}

}  // namespace

TEST_CASE("what a recorder writes, the reader returns") {
  TempDir dir;
  auto recorder = Recorder::create(dir.file("p.ohist"), header());
  REQUIRE(recorder);
  fill(**recorder);
  REQUIRE((*recorder)->close());
  const auto file = read_file(dir.file("p.ohist"));
  REQUIRE(file);
  CHECK(file->closed);
  CHECK(file->torn_bytes == 0);
  CHECK(file->blocks.size() == 3);
  CHECK(file->records() == 11);
  CHECK(file->header.run_id == "run-1");
  CHECK(file->header.objects == header().objects);
  CHECK(file->header.config.at("acks") == "all");
  const Record& ok = file->blocks[0][1];
  CHECK(ok.value() == 0);
  CHECK(ok.offset == 5);
  CHECK(ok.leader_epoch() == 3);
  CHECK(file->side.errors.at(file->blocks[0][3].detail).class_name == "REQUEST_TIMED_OUT");
  CHECK(file->side.foreign.at(file->blocks[1][2].detail).head == "ORDVxyz");
  REQUIRE(file->side.batches.size() == 1);
  CHECK(file->side.batches[0] == AuditBatch{0, 5, 5, 3, 1001, 2, 17, 1, ControlType::data, true});
  CHECK(file->side.resets.at(0).cause_code == 45);
  CHECK(file->side.notes == std::vector<std::string>{"all good"});
}

TEST_CASE("a memory recorder gives the same history as a file") {
  TempDir dir;
  auto to_file = Recorder::create(dir.file("p.ohist"), header());
  fill(**to_file);
  REQUIRE((*to_file)->close());
  auto to_memory = Recorder::in_memory(header());
  fill(*to_memory);
  const auto from_file = read_folder(dir.path);
  std::vector<FileView> views;
  views.push_back(to_memory->to_memory());
  const auto from_memory = join(std::move(views));
  REQUIRE(from_file);
  REQUIRE(from_memory);
  CHECK(jsonl(*from_file) == jsonl(*from_memory));
}

TEST_CASE("a file cut at any byte is a prefix with a note, never an error and never more") {
  TempDir dir;
  auto recorder = Recorder::create(dir.file("p.ohist"), header());
  fill(**recorder);
  REQUIRE((*recorder)->close());
  const std::string whole = read_all(dir.file("p.ohist"));
  const std::size_t head = codec::encode_file_header(header()).size();
  std::uint64_t most = 0;
  for (std::size_t size = head; size < whole.size(); ++size) {
    write_all(dir.file("cut.ohist"), std::string_view(whole).substr(0, size));
    const auto file = read_file(dir.file("cut.ohist"));
    if (!file) FAIL(file.error().to_string());
    CHECK(file->records() >= most);
    most = file->records();
    const auto history = join({*file});
    REQUIRE(history);
    if (!file->closed) CHECK(history->notes.size() == 1);
  }
  CHECK(most == 11);
}

TEST_CASE("a file cut inside its header is damage") {
  TempDir dir;
  write_all(dir.file("a.ohist"), std::string_view(read_all(dir.file("none"))));
  CHECK(read_file(dir.file("a.ohist")).error().code == Errc::corrupt);
  const Bytes head = codec::encode_file_header(header());
  write_all(dir.file("a.ohist"), as_text(ByteView(head).first(40)));
  CHECK(read_file(dir.file("a.ohist")).error().text.find("inside its header") != std::string::npos);
}

TEST_CASE("any flipped bit that matters is an error with file and byte") {
  TempDir dir;
  auto recorder = Recorder::create(dir.file("p.ohist"), header());
  fill(**recorder);
  REQUIRE((*recorder)->close());
  const std::string whole = read_all(dir.file("p.ohist"));
  const auto good = jsonl(*read_folder(dir.path));
  std::size_t errors = 0;
  std::size_t harmless = 0;
  for (std::size_t byte = 0; byte < whole.size(); ++byte) {
    std::string damaged = whole;
    damaged[byte] = static_cast<char>(damaged[byte] ^ 0x10);
    const std::unique_ptr<std::uint64_t[]> aligned(new std::uint64_t[damaged.size() / 8 + 1]);
    std::memcpy(aligned.get(), damaged.data(), damaged.size());
    const auto file = read_bytes("x.ohist", {reinterpret_cast<const std::uint8_t*>(aligned.get()), damaged.size()});
    if (file) {
      ++harmless;  // padding only: the history is the same
      CHECK(jsonl(*join({*file})) == good);
      continue;
    }
    ++errors;
    CHECK(file.error().text.starts_with("x.ohist"));
  }
  CHECK(errors > whole.size() * 3 / 4);
  CHECK(harmless < 31 * 4);
}

TEST_CASE("space the file system gave but nobody wrote is a torn tail") {
  TempDir dir;
  {
    auto recorder = Recorder::create(dir.file("p.ohist"), header());
    fill(**recorder);
    REQUIRE((*recorder)->flush());
  }  // dropped without close()
  write_all(dir.file("z.ohist"), read_all(dir.file("p.ohist")) + std::string(4096, '\0'));
  const auto file = read_file(dir.file("z.ohist"));
  REQUIRE(file);
  CHECK(file->torn_bytes == 4096);
  CHECK(file->records() == 11);
  CHECK_FALSE(file->closed);
}

TEST_CASE("records leave by count and by the records' own time") {
  TempDir dir;
  RecorderOptions options;
  options.block_records = 4;
  options.flush_interval = std::chrono::nanoseconds(100);
  auto recorder = Recorder::create(dir.file("p.ohist"), header(), options);
  const auto records_on_disk = [&] { return read_file(dir.file("p.ohist"))->records(); };
  for (int i = 0; i < 3; ++i) (*recorder)->send_invoke(at(1), 0, 0, static_cast<std::uint64_t>(i));
  CHECK(records_on_disk() == 0);
  (*recorder)->send_invoke(at(2), 0, 0, 3);
  CHECK(records_on_disk() == 4);
  (*recorder)->send_invoke(at(50), 0, 0, 4);
  CHECK(records_on_disk() == 4);
  (*recorder)->send_invoke(at(150), 0, 0, 5);
  CHECK(records_on_disk() == 6);
}

TEST_CASE("a full disk at the start is an error") {
  if (::access("/dev/full", W_OK) != 0) return;
  TempDir dir;
  std::filesystem::create_symlink("/dev/full", dir.file("p.ohist.new"));
  const auto recorder = Recorder::create(dir.file("p.ohist"), header());
  REQUIRE_FALSE(recorder);
  CHECK(recorder.error().code == Errc::no_space);
}

TEST_CASE("a write that fails later sticks to the recorder, and what was written before still reads") {
  TempDir dir;
  auto recorder = Recorder::create(dir.file("p.ohist"), header());
  fill(**recorder);
  REQUIRE((*recorder)->flush());
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = std::filesystem::file_size(dir.file("p.ohist")) + 40;
  setrlimit(RLIMIT_FSIZE, &tight);
  (*recorder)->send_invoke(at(100), 1, 0, 2);
  const bool flushed = (*recorder)->flush().has_value();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  CHECK_FALSE(flushed);
  CHECK_FALSE((*recorder)->status());
  CHECK_FALSE((*recorder)->close());
  const auto file = read_file(dir.file("p.ohist"));
  REQUIRE(file);
  CHECK(file->records() == 11);
  CHECK(file->torn_bytes == 40);
}

TEST_CASE("a history is never overwritten") {
  TempDir dir;
  REQUIRE(Recorder::create(dir.file("p.ohist"), header()));
  CHECK(Recorder::create(dir.file("p.ohist"), header()).error().code == Errc::already_exists);
}

TEST_CASE("equal errors share an id, and running out of ids is survived") {
  auto recorder = Recorder::in_memory(header());
  const ErrorDetail error{"X", 1, "", false, ""};
  CHECK(recorder->error_id(error) == recorder->error_id(error));
  std::uint16_t last = 0;
  for (int i = 0; i < 70000; ++i) last = recorder->error_id({"E", i, "", false, ""});
  CHECK(last == kDetailOverflow);
  const FileView view = recorder->to_memory();
  CHECK(view.side.errors.size() == kDetailOverflow);
  CHECK(view.side.errors.at(kDetailOverflow).class_name == "TOO_MANY_DETAILS");
}

TEST_CASE("joining refuses files of two runs and two files of one writer") {
  const auto view = [](std::string writer, std::string run) {
    Header h = header(writer);
    h.run_id = std::move(run);
    return Recorder::in_memory(h)->to_memory();
  };
  CHECK(join({view("a", "r1"), view("b", "r1")}));
  CHECK(join({view("a", "r1"), view("b", "r2")}).error().code == Errc::invalid_argument);
  CHECK(join({view("a", "r1"), view("a", "r1")}).error().code == Errc::invalid_argument);
  CHECK(read_folder("/nonexistent/folder").error().code == Errc::not_found);
}

TEST_CASE("an export comes back equal") {
  auto recorder = Recorder::in_memory(header());
  fill(*recorder);
  std::vector<FileView> views;
  views.push_back(recorder->to_memory());
  const std::string text = jsonl(*join(std::move(views)));
  std::istringstream in(text);
  const auto back = import_jsonl(in, "h.jsonl");
  if (!back) FAIL(back.error().to_string());
  CHECK(jsonl(*back) == text);
}

TEST_CASE("an import of strangers' values numbers them, and errors name the line") {
  std::istringstream in(
      R"({"t":1,"p":1,"f":"send","type":"invoke","topic":"t","partition":0,"value":"alpha"}
{"t":2,"p":1,"f":"send","type":"ok","topic":"t","partition":0,"value":"alpha","offset":0}
{"t":3,"p":2,"f":"read","topic":"t","partition":0,"value":"beta","offset":1}
)");
  const auto history = import_jsonl(in, "h.jsonl");
  REQUIRE(history);
  CHECK(history->files[0].blocks[0][1].value() == 0);
  CHECK(history->files[0].blocks[0][2].value() == 1);
  std::istringstream bad(
      "{\"t\":1,\"p\":1,\"f\":\"send\",\"type\":\"invoke\",\"topic\":\"t\",\"partition\":0,"
      "\"value\":1}\n\n{\"t\":2,\"f\":\"dance\"}\n");
  const auto error = import_jsonl(bad, "h.jsonl");
  REQUIRE_FALSE(error);
  CHECK(error.error().text.find("h.jsonl line 3") != std::string::npos);
  std::istringstream nothing("\n");
  CHECK_FALSE(import_jsonl(nothing, "h.jsonl"));
}

TEST_CASE("a payload is recognised, whole, at every size") {
  const std::uint64_t run = run_hash("run-1");
  for (std::size_t size = kMinPayload; size < 200; ++size) {
    const Bytes bytes = make_payload(run, {123456, 7}, size);
    const Decoded decoded = decode_payload(run, bytes);
    REQUIRE(std::holds_alternative<PayloadValue>(decoded));
    CHECK(std::get<PayloadValue>(decoded).id == 123456);
    CHECK(std::get<PayloadValue>(decoded).object == 7);
  }
}

TEST_CASE("no flipped bit, cut or stranger decodes as a value") {
  const std::uint64_t run = run_hash("run-1");
  const Bytes good = make_payload(run, {99, 1}, 64);
  const auto reason = [&](ByteView bytes, std::uint64_t as) {
    const Decoded decoded = decode_payload(as, bytes);
    REQUIRE(std::holds_alternative<PayloadForeign>(decoded));
    return std::get<PayloadForeign>(decoded).reason;
  };
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const ForeignReason why = reason(bad, run);
    CHECK(why == (bit < 32        ? ForeignReason::bad_magic
                  : bit / 32 == 7 ? ForeignReason::bad_size
                                  : ForeignReason::bad_crc));
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    const ForeignReason why = reason(ByteView(good).first(size), run);
    CHECK((why == ForeignReason::too_short || why == ForeignReason::bad_size));
  }
  CHECK(reason(good, run_hash("run-2")) == ForeignReason::other_run);
  CHECK(reason(as_bytes(std::string(100, 'x')), run) == ForeignReason::bad_magic);
  CHECK(PayloadForeign{ForeignReason::bad_crc}.describe(good).head.size() == 64);
  CHECK(is_damage("bad_crc"));
  CHECK_FALSE(is_damage("other_run"));
}
