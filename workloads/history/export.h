// Histories as JSON lines, for people and other tools, and back. docs/formats/history.md describes a line.
// Export keeps everything a verdict needs; import takes what log tests of other tools can produce (sends with
// offsets, reads, audits) and numbers their values itself.
#pragma once

#include <iosfwd>
#include <string>

#include "broker/base/result.h"
#include "workloads/history/history.h"

namespace ordeal::history {

// One line an event, files one after the other, each begun by a {"header":...} line.
Status export_jsonl(const History& history, std::ostream& out);

// Errors name the line: "h.jsonl line 17: ...".
Result<History> import_jsonl(std::istream& in, const std::string& name);

}  // namespace ordeal::history
