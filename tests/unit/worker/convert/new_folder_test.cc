#include "worker/convert/new_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace tidegate::worker::new_folder_test {
namespace {

std::size_t entries_of(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) count += entry.path().empty() ? 0 : 1;
  return count;
}

TEST(NewFolder, GetsItsNameWhenItIsWhole) {
  const test::TempDir dir;
  {
    auto folder = NewFolder::create(dir.path() / "out/");
    ASSERT_TRUE(folder) << folder.error().to_string();
    std::ofstream(folder->path() / "file") << "whole";
    EXPECT_FALSE(std::filesystem::exists(dir.path() / "out"));
    const Status published = folder->publish();
    ASSERT_TRUE(published) << published.error().to_string();
  }
  EXPECT_TRUE(std::filesystem::exists(dir.path() / "out/file"));
  EXPECT_EQ(entries_of(dir.path()), 1u);
}

TEST(NewFolder, TakesNobodysPlaceAlsoNotAnEmptyFoldersThatCameMeanwhile) {
  for (const bool is_empty : {true, false}) {
    SCOPED_TRACE(is_empty);
    const test::TempDir dir;
    {
      auto folder = NewFolder::create(dir.path() / "out");
      ASSERT_TRUE(folder) << folder.error().to_string();
      std::ofstream(folder->path() / "file") << "whole";
      std::filesystem::create_directory(dir.path() / "out");
      if (!is_empty) std::ofstream(dir.path() / "out/mine") << "kept";
      const Status published = folder->publish();
      ASSERT_FALSE(published);
      EXPECT_EQ(published.error().reason, "target_exists");
    }
    EXPECT_EQ(entries_of(dir.path()), 1u) << "and nothing is left behind";
    EXPECT_EQ(entries_of(dir.path() / "out"), is_empty ? 0u : 1u);
  }
}

TEST(NewFolder, AnExistingTargetIsRefusedBeforeAnythingIsMade) {
  const test::TempDir dir;
  std::filesystem::create_directory(dir.path() / "out");
  const auto folder = NewFolder::create(dir.path() / "out");
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().reason, "target_exists");
  EXPECT_EQ(entries_of(dir.path()), 1u);
}

}  // namespace
}  // namespace tidegate::worker::new_folder_test
