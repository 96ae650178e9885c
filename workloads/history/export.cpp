// JSON lines out.
#include "workloads/history/export.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

namespace ordeal::history {
namespace {

using Json = nlohmann::ordered_json;

std::string hex(std::string_view raw) {
  std::string out;
  for (const char byte : raw) out += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

Json header_line(const Header& header) {
  Json objects = Json::array();
  for (const TopicPartition& object : header.objects)
    objects.push_back({{"topic", object.topic}, {"partition", object.partition}});
  return {{"header",
           {{"schema", header.schema},
            {"run_id", header.run_id},
            {"writer", header.writer},
            {"client_kind", header.client_kind},
            {"client_version", header.client_version},
            {"protocol_versions", header.protocol_versions},
            {"objects", std::move(objects)},
            {"config", header.config},
            {"value_first", header.value_first},
            {"value_stride", header.value_stride}}}};
}

Json record_line(const FileView& file, const Record& record) {
  Json line{{"t", record.time_ns},
            {"p", record.process},
            {"f", function_name(record.function)},
            {"type", type_name(record.type)}};
  if (record.object != kNoObject) {
    const TopicPartition& object = file.header.objects[record.object];
    line["topic"] = object.topic;
    line["partition"] = object.partition;
  }
  if (record.offset >= 0) line["offset"] = record.offset;
  if (record.value() < kForeignValue) line["value"] = record.value();
  if (record.leader_epoch() >= 0) line["epoch"] = record.leader_epoch();
  if (record.detail == 0) return line;
  if (const auto error = file.side.errors.find(record.detail); error != file.side.errors.end())
    line["error"] = {{"class", error->second.class_name},
                     {"code", error->second.code},
                     {"text", error->second.text},
                     {"retriable", error->second.retriable},
                     {"status", error->second.message_status}};
  if (const auto foreign = file.side.foreign.find(record.detail); foreign != file.side.foreign.end())
    line["foreign"] = {
        {"reason", foreign->second.reason}, {"size", foreign->second.size}, {"head", hex(foreign->second.head)}};
  return line;
}

Json batch_line(const FileView& file, const AuditBatch& batch) {
  const bool named = batch.object < file.header.objects.size();
  return {{"batch",
           {{"topic", named ? file.header.objects[batch.object].topic : ""},
            {"partition", named ? file.header.objects[batch.object].partition : -1},
            {"base_offset", batch.base_offset},
            {"last_offset", batch.last_offset},
            {"epoch", batch.leader_epoch},
            {"producer_id", batch.producer_id},
            {"producer_epoch", batch.producer_epoch},
            {"base_sequence", batch.base_sequence},
            {"records", batch.record_count},
            {"control", static_cast<int>(batch.control)},
            {"crc_ok", batch.crc_ok}}}};
}

Json reset_line(const ProducerReset& reset) {
  return {{"reset",
           {{"t", reset.time_ns},
            {"p", reset.process},
            {"old_producer_id", reset.old_producer_id},
            {"old_producer_epoch", reset.old_producer_epoch},
            {"new_producer_id", reset.new_producer_id},
            {"new_producer_epoch", reset.new_producer_epoch},
            {"cause", reset.cause_code},
            {"cause_object", reset.cause_object},
            {"cause_sequence", reset.cause_sequence},
            {"cause_node", reset.cause_node}}}};
}

}  // namespace

Status export_jsonl(const History& history, std::ostream& out) {
  const auto write = [&](const Json& line) {
    // Error texts come from brokers and may hold any bytes; a replacement character beats a failed export.
    out << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  };
  for (const FileView& file : history.files) {
    write(header_line(file.header));
    for (const auto& block : file.blocks)
      for (const Record& record : block) write(record_line(file, record));
    for (const AuditBatch& batch : file.side.batches) write(batch_line(file, batch));
    for (const ProducerReset& reset : file.side.resets) write(reset_line(reset));
    for (const std::string& note : file.side.notes) write({{"note", note}});
    write({{"end", {{"closed", file.closed}}}});
  }
  out.flush();
  if (!out) return fail(Errc::io, "cannot write the JSON lines");
  return {};
}

}  // namespace ordeal::history
