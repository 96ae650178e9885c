// What there is: bugs, scenarios, plans.
#include <fmt/format.h>

#include "faults/sim/driver/modes.h"
#include "faults/sim/driver/play.h"

namespace ordeal::sim {
namespace {

using Json = nlohmann::ordered_json;

Json bugs() {
  Json list = Json::array();
  for (const mutation::BugInfo& bug : mutation::all_bugs())
    list.push_back({{"id", bug.id},
                    {"name", bug.name},
                    {"source", bug.source},
                    {"summary", bug.summary},
                    {"property", bug.property},
                    {"scenario", scenario::corpus_text(bug.name).has_value()}});
  for (const mutation::AbsentBug& bug : mutation::absent_bugs())
    list.push_back({{"id", bug.id},
                    {"name", bug.name},
                    {"source", bug.source},
                    {"absence", bug.absence == mutation::Absence::needs_feature ? "needs feature" : "not applicable"},
                    {"why", bug.why}});
  return list;
}

Json scenarios() {
  Json list = Json::array();
  for (const std::string& name : scenario::corpus_names()) {
    const auto text = scenario::corpus_text(name);
    const auto parsed = scenario::parse_scenario(text.value_or(""), name);
    if (!parsed) {
      list.push_back({{"name", name}, {"trouble", parsed.error().text}});
      continue;
    }
    list.push_back({{"name", name}, {"title", parsed->title}, {"bug", parsed->bug}, {"property", parsed->property}});
  }
  return list;
}

Json plans() {
  Json list = Json::array();
  list.push_back({{"name", "sim"}, {"description", default_plan().description}});
  for (const std::string& name : plan::builtin_plan_names()) {
    const auto parsed = plan::parse_plan(plan::builtin_plan_text(name).value_or(""), name);
    list.push_back({{"name", name}, {"description", parsed ? parsed->description : parsed.error().text}});
  }
  return list;
}

void print_for_people(const Json& list) {
  for (const Json& one : list) {
    const std::string id = one.value("id", "");
    const std::string about = one.value("summary", one.value("why", one.value("title", one.value("description", ""))));
    fmt::print("{}{} {}\n", id.empty() ? "" : fmt::format("{:<6}", id), one.value("name", ""), about);
  }
}

}  // namespace

int show_list(const Arguments& arguments) {
  Json list;
  if (arguments.list == "bugs") {
    list = bugs();
  } else if (arguments.list == "scenarios") {
    list = scenarios();
  } else if (arguments.list == "plans") {
    list = plans();
  } else {
    fmt::print(stderr, "ordeal-sim: --list bugs, scenarios or plans, not {}\n", arguments.list);
    return kExitUsage;
  }
  if (arguments.json)
    fmt::print("{}\n", list.dump(1));
  else
    print_for_people(list);
  return 0;
}

}  // namespace ordeal::sim
