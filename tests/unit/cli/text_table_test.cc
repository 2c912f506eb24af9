#include "cli/text_table.h"

#include <gtest/gtest.h>

namespace tidegate::cli {
namespace {

TEST(TextTable, ColumnsAreAsWideAsTheirWidestCell) {
  TextTable table({"NAME", "N"});
  table.add({"a", "1"});
  table.add({"longer", "22"});
  EXPECT_EQ(table.render(), "NAME    N\na       1\nlonger  22\n");
}

TEST(TextTable, ChineseCharactersTakeTwoColumns) {
  TextTable table({"T", "N"});
  table.add({"月", "1"});
  table.add({"abcd", "2"});
  EXPECT_EQ(table.render(), "T     N\n月    1\nabcd  2\n");
}

TEST(TextTable, BytesAreGibWithTwoDigits) {
  EXPECT_EQ(gib_text(0), "0.00 GiB");
  EXPECT_EQ(gib_text((std::int64_t{3} << 30) / 2), "1.50 GiB");
}

}  // namespace
}  // namespace tidegate::cli
