#pragma once

#include <string>
#include <vector>

#include "base/core/result.h"
#include "cli/arguments.h"

namespace tidegate::cli {

/// One verb. `name` may be two words ("tenant create").
struct Command {
  std::string name;
  std::string summary;   ///< one line
  std::string usage;     ///< after the name, e.g. "NAME [--tz ZONE]"
  std::string examples;  ///< whole lines, shown by --help
  std::vector<std::string> options;
  std::vector<std::string> switches;
  Status (*run)(const Arguments&);
};

/// Every verb, in the order of `tidegate --help`.
const std::vector<Command>& commands();

}  // namespace tidegate::cli
