// JSON lines in: our own export, or what another tool's log test can say with the same few fields.
//
// Values may be numbers or strings. Whole numbers below a small multiple of the line count are kept as they are (so
// an export comes back equal); anything else is numbered in order of first appearance.
#include <fmt/format.h>

#include <istream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "workloads/history/codec.h"
#include "workloads/history/export.h"
#include "workloads/history/reader.h"

namespace ordeal::history {
namespace {

using Json = nlohmann::json;

std::string unhex(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at + 1 < text.size(); at += 2)
    out.push_back(static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16)));
  return out;
}

const std::map<std::string, Function>& functions() {
  static const auto names = [] {
    std::map<std::string, Function> out;
    for (std::uint8_t f = 0; f <= static_cast<std::uint8_t>(Function::audit_start); ++f)
      out[function_name(static_cast<Function>(f))] = static_cast<Function>(f);
    return out;
  }();
  return names;
}

const std::map<std::string, Type>& types() {
  static const std::map<std::string, Type> names{
      {"invoke", Type::invoke}, {"ok", Type::ok}, {"fail", Type::fail}, {"info", Type::info}};
  return names;
}

struct Importer {
  std::string name;
  std::vector<FileView> files;
  std::vector<std::shared_ptr<std::vector<Record>>> records;
  std::map<TopicPartition, std::uint16_t> objects;  // of the current file
  std::vector<std::vector<std::string>> values;     // per file, per record: the value's text, "" for none
  std::uint32_t next_detail = 0;
  std::size_t sends = 0;

  FileView& file() { return files.back(); }

  void begin_file(Header header) {
    FileView view;
    view.header = std::move(header);
    view.name = name + ":" + view.header.writer;
    view.closed = true;
    objects.clear();
    for (std::size_t i = 0; i < view.header.objects.size(); ++i)
      objects[view.header.objects[i]] = static_cast<std::uint16_t>(i);
    files.push_back(std::move(view));
    records.push_back(std::make_shared<std::vector<Record>>());
    values.emplace_back();
    next_detail = 0;
  }

  void ensure_file() {
    if (files.empty()) {
      Header header;
      header.run_id = "import";
      header.writer = "import";
      header.client_kind = "import";
      begin_file(std::move(header));
    }
  }

  std::uint16_t object_of(const Json& line) {
    const TopicPartition where{line.at("topic").get<std::string>(), line.at("partition").get<PartitionId>()};
    const auto known = objects.find(where);
    if (known != objects.end()) return known->second;
    if (file().header.objects.size() + 1 >= kNoObject) throw std::runtime_error("too many topic-partitions");
    const auto id = static_cast<std::uint16_t>(file().header.objects.size());
    file().header.objects.push_back(where);
    return objects[where] = id;
  }

  void header(const Json& in) {
    Header out;
    out.schema = in.value("schema", kSchema);
    if (out.schema > kSchema) throw std::runtime_error("a newer history schema");
    out.run_id = in.value("run_id", "import");
    out.writer = in.value("writer", fmt::format("import-{}", files.size()));
    out.client_kind = in.value("client_kind", "import");
    out.client_version = in.value("client_version", "");
    out.protocol_versions = in.value("protocol_versions", std::map<std::string, std::int32_t>{});
    out.config = in.value("config", std::map<std::string, std::string>{});
    out.value_first = in.value("value_first", std::uint64_t{0});
    out.value_stride = in.value("value_stride", std::uint64_t{0});
    for (const Json& object : in.value("objects", Json::array()))
      out.objects.push_back({object.at("topic").get<std::string>(), object.at("partition").get<PartitionId>()});
    begin_file(std::move(out));
  }

  std::uint16_t detail(const Json& line) {
    if (!line.contains("error") && !line.contains("foreign")) return 0;
    const auto id = static_cast<std::uint16_t>(std::min<std::uint32_t>(++next_detail, kDetailOverflow));
    if (line.contains("error")) {
      const Json& error = line.at("error");
      file().side.errors[id] =
          error.is_string() ? ErrorDetail{error.get<std::string>(), 0, "", false, ""}
                            : ErrorDetail{error.value("class", ""), error.value("code", 0), error.value("text", ""),
                                          error.value("retriable", false), error.value("status", "")};
    } else {
      const Json& foreign = line.at("foreign");
      file().side.foreign[id] = {foreign.value("reason", "bad_magic"), foreign.value("size", 0U),
                                 unhex(foreign.value("head", ""))};
    }
    return id;
  }

  void operation(const Json& line) {
    ensure_file();
    const auto function = functions().find(line.at("f").get<std::string>());
    if (function == functions().end()) throw std::runtime_error("unknown \"f\"");
    const auto type = types().find(line.value("type", "ok"));
    if (type == types().end()) throw std::runtime_error("unknown \"type\"");
    Record record;
    record.time_ns = line.at("t").get<std::uint64_t>();
    record.process = line.value("p", std::uint16_t{0});
    record.function = function->second;
    record.type = type->second;
    if (line.contains("topic")) record.object = object_of(line);
    record.offset = line.value("offset", std::int64_t{-1});
    record.detail = detail(line);
    const LeaderEpoch epoch = line.value("epoch", kNoEpoch);
    if (epoch < -1 || epoch >= (1 << 23)) throw std::runtime_error("\"epoch\" out of range");
    record.set_value(line.contains("foreign") ? kForeignValue : kNoValue, epoch);
    if (const char* problem = codec::record_problem(record, file().header.objects.size()))
      throw std::runtime_error(problem);
    std::string value;
    if (line.contains("value")) {
      const Json& in = line.at("value");
      value = in.is_string() ? "s" + in.get<std::string>() : in.dump();
    }
    if (function->second == Function::send) {
      if (value.empty()) throw std::runtime_error("a send without \"value\"");
      sends += type->second == Type::invoke ? 1 : 0;
    }
    records.back()->push_back(record);
    values.back().push_back(std::move(value));
  }

  void batch(const Json& in) {
    ensure_file();
    AuditBatch batch;
    batch.object = object_of(in);
    batch.base_offset = in.at("base_offset").get<Offset>();
    batch.last_offset = in.at("last_offset").get<Offset>();
    if (batch.base_offset < 0 || batch.last_offset < batch.base_offset) throw std::runtime_error("impossible offsets");
    batch.leader_epoch = in.value("epoch", kNoEpoch);
    batch.producer_id = in.value("producer_id", kNoProducerId);
    batch.producer_epoch = in.value("producer_epoch", ProducerEpoch{-1});
    batch.base_sequence = in.value("base_sequence", -1);
    batch.record_count = in.value("records", 0U);
    const int control = in.value("control", 0);
    if (control < 0 || control > 3) throw std::runtime_error("unknown \"control\"");
    batch.control = static_cast<ControlType>(control);
    batch.crc_ok = in.value("crc_ok", true);
    file().side.batches.push_back(batch);
  }

  void reset(const Json& in) {
    ensure_file();
    file().side.resets.push_back(
        {in.value("p", std::uint16_t{0}), in.value("t", std::uint64_t{0}), in.value("old_producer_id", kNoProducerId),
         in.value("old_producer_epoch", ProducerEpoch{-1}), in.value("new_producer_id", kNoProducerId),
         in.value("new_producer_epoch", ProducerEpoch{-1}), in.value("cause", 0), in.value("cause_object", kNoObject),
         in.value("cause_sequence", -1), in.value("cause_node", kNoNode)});
  }

  void line(const std::string& text) {
    const Json line = Json::parse(text);
    if (!line.is_object()) throw std::runtime_error("not an object");
    if (line.contains("header")) return header(line.at("header"));
    if (line.contains("batch")) return batch(line.at("batch"));
    if (line.contains("reset")) return reset(line.at("reset"));
    if (line.contains("note")) {
      ensure_file();
      return file().side.notes.push_back(line.at("note").get<std::string>());
    }
    if (line.contains("end")) {
      ensure_file();
      file().closed = line.at("end").value("closed", true);
      return;
    }
    operation(line);
  }

  // Whole numbers stay when the table they index stays small; one odd value renumbers all of them.
  void number_values() {
    bool keep = true;
    const std::uint64_t bound = 16 * sends + 1024;
    for (const auto& texts : values)
      for (const std::string& text : texts) {
        if (text.empty()) continue;
        keep = keep && text.size() < 13 && text.find_first_not_of("0123456789") == std::string::npos &&
               std::stoull(text) < bound;
      }
    std::map<std::string, std::uint64_t> ids;
    for (std::size_t f = 0; f < files.size(); ++f) {
      for (std::size_t i = 0; i < values[f].size(); ++i) {
        const std::string& text = values[f][i];
        if (text.empty()) continue;
        Record& record = (*records[f])[i];
        const std::uint64_t id = keep ? std::stoull(text) : ids.emplace(text, ids.size()).first->second;
        record.set_value(id, record.leader_epoch());
      }
      if (!records[f]->empty()) files[f].blocks.emplace_back(*records[f]);
      files[f].storage = records[f];
    }
    if (!keep && !files.empty())
      files.front().side.notes.push_back("values were numbered in order of first appearance");
  }
};

}  // namespace

Result<History> import_jsonl(std::istream& in, const std::string& name) {
  Importer importer{name, {}, {}, {}, {}, 0, 0};
  std::string text;
  for (std::size_t number = 1; std::getline(in, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      importer.line(text);
    } catch (const std::exception& problem) {  // nlohmann reports by exception
      return fail(Errc::corrupt, fmt::format("{} line {}: {}", name, number, problem.what()));
    }
  }
  if (importer.files.empty()) return fail(Errc::corrupt, name + ": no history in it");
  importer.number_values();
  return join(std::move(importer.files));
}

}  // namespace ordeal::history
