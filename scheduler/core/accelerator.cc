#include "scheduler/core/accelerator.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tidegate::scheduler {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

namespace {

bool is_good_name(std::string_view name) {
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), is_plain);
}

}  // namespace

Status AcceleratorTable::add(AcceleratorKind kind) {
  std::vector<std::string> names = {kind.name};
  names.insert(names.end(), kind.aliases.begin(), kind.aliases.end());
  for (const std::string& name : names) {
    if (!is_good_name(name)) {
      return fail(Code::kInvalidArgument, "bad_accelerator",
                  fmt::format("'{}' is not a name: 1 to 63 characters of a-z, 0-9, '-' and '.'", name), "name");
    }
    if (names_.contains(name)) {
      return fail(Code::kAlreadyExists, "duplicate_accelerator", fmt::format("the name '{}' is there twice", name),
                  "name");
    }
  }
  for (std::string& name : names) names_.emplace(std::move(name), kind.name);
  std::string name = kind.name;
  kinds_.emplace(std::move(name), std::move(kind));
  return {};
}

Result<const AcceleratorKind*> AcceleratorTable::find(std::string_view name) const {
  const auto found = names_.find(lower_case(name));
  if (found != names_.end()) return &kinds_.at(found->second);
  std::string known;
  for (const auto& [each, kind] : kinds_) known += known.empty() ? each : ", " + each;
  return fail(Code::kNotFound, "unknown_accelerator",
              fmt::format("no accelerator is called '{}'; known are {}", name, known.empty() ? "none" : known),
              "accelerator");
}

}  // namespace tidegate::scheduler
