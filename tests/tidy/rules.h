#pragma once

#include <string>
#include <vector>

#include "tests/tidy/source_tree.h"

namespace tidegate::tidy {

using Complaints = std::vector<std::string>;  ///< "path:line: what, and what to do instead"

/// base/core < base/*, proto < <service>/core < <service>/{http,rpc,...} < wiring < main; services never meet.
Complaints check_layers(const std::vector<SourceFile>& files);
/// A vendor header appears in its base/ folder or in an adapter's .cc.
Complaints check_vendor_headers(const std::vector<SourceFile>& files);
/// Calls with a house replacement: clocks, sleeps, getenv, randomness, raw threads, floating point near money.
Complaints check_banned_calls(const std::vector<SourceFile>& files);
/// GCC 12 destroys braced aggregates and capturing lambdas twice when they sit in a co_await statement.
Complaints check_co_await(const std::vector<SourceFile>& files);
/// At most 600 lines a file.
Complaints check_sizes(const std::vector<SourceFile>& files);
/// No util, common, helper, misc.
Complaints check_names(const std::vector<SourceFile>& files);
/// Every .cc is listed in a CMakeLists.txt, every .h is included.
Complaints check_dead_files(const std::vector<SourceFile>& files);
/// Every header of a core folder is included by a unit test.
Complaints check_core_has_tests(const std::vector<SourceFile>& files);
/// Words of unfinished work.
Complaints check_unfinished(const std::vector<SourceFile>& files);
/// Tests wait for conditions.
Complaints check_test_sleeps(const std::vector<SourceFile>& files);

}  // namespace tidegate::tidy
