// ordeal-sim: simulated worlds by seed, each a whole cluster under faults with clients, an audit and a verdict.
//
// Equal arguments give equal worlds: the digest says so, and --twice proves it.
// Exit: 0 every world passed, 1 a violation, 2 unknown, 3 the harness failed or two equal worlds differed, 64 bad
// usage.
#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "faults/sim/driver/modes.h"
#include "faults/sim/driver/play.h"

namespace {

using namespace ordeal::sim;

int run(const Arguments& arguments) {
  switch (arguments.mode) {
    case Mode::seeds:
      return run_seeds(arguments);
    case Mode::scenario:
      return run_scenarios(arguments);
    case Mode::show_world:
      return show_world(arguments);
    case Mode::list:
      return show_list(arguments);
    case Mode::shrink:
      return run_shrink(arguments);
    case Mode::search:
      return run_search(arguments);
    case Mode::bench:
      return run_bench(arguments);
  }
  return kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    print_usage(stdout);
    return 0;
  }
  Arguments arguments;
  if (const std::string wrong = parse_arguments(argc, argv, arguments); !wrong.empty() || argc == 1) {
    if (!wrong.empty()) fmt::print(stderr, "ordeal-sim: {}\n", wrong);
    print_usage(stderr);
    return kExitUsage;
  }
  int code = run(arguments);
  if (!arguments.marks.empty()) {
    if (const auto written = write_marks(arguments.marks); !written) {
      fmt::print(stderr, "ordeal-sim: {}\n", written.error().to_string());
      code = worst(code, kExitHarness);
    }
  }
  return code;
}
