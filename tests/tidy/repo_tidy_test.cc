// The house rules, as a test that names the replacement. Each rule is a function from files to complaints, so that
// the rules themselves are tested on planted offenders (rules_test.cc).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tidy/rules.h"
#include "tests/tidy/source_tree.h"

namespace tidegate::tidy {
namespace {

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> kTree = load_tree(TG_SOURCE_DIR);
  return kTree;
}

void expect_none(const std::vector<std::string>& complaints) {
  for (const auto& complaint : complaints) ADD_FAILURE() << complaint;
}

TEST(RepoTidy, TheTreeWasRead) { EXPECT_GT(tree().size(), 100U); }
TEST(RepoTidy, LayersIncludeDownwardsOnly) { expect_none(check_layers(tree())); }
TEST(RepoTidy, VendorHeadersStayInTheirFolder) { expect_none(check_vendor_headers(tree())); }
TEST(RepoTidy, BannedCallsAreNotUsed) { expect_none(check_banned_calls(tree())); }
TEST(RepoTidy, NothingIsBuiltInsideACoAwaitExpression) { expect_none(check_co_await(tree())); }
TEST(RepoTidy, FilesStaySmall) { expect_none(check_sizes(tree())); }
TEST(RepoTidy, FilesAreNamedByTheirNoun) { expect_none(check_names(tree())); }
TEST(RepoTidy, NoFileIsDead) { expect_none(check_dead_files(tree())); }
TEST(RepoTidy, CoreCodeHasATest) { expect_none(check_core_has_tests(tree())); }
TEST(RepoTidy, NoUnfinishedWork) { expect_none(check_unfinished(tree())); }
TEST(RepoTidy, TestsDoNotSleep) { expect_none(check_test_sleeps(tree())); }

}  // namespace
}  // namespace tidegate::tidy
