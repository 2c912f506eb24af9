#pragma once

#include <string_view>

#include "base/json/json.h"

namespace tidegate::scheduler::kube {

/// Reads the YAML that tools write into kubeconfig files: block mappings and sequences, plain and quoted scalars on one
/// line, comments, empty {} and []. Every scalar is a text (null for nothing). What a person could misread is refused
/// with its line: tabs, anchors, tags, block scalars, flow collections with content, several documents, a key twice.
/// JSON, being YAML, is read as JSON. At most 1 MiB. Fails: invalid_argument/bad_yaml.
Result<json::value> parse_yaml_subset(std::string_view text);

}  // namespace tidegate::scheduler::kube
