#include "base/pg/types.h"

#include <gtest/gtest.h>

#include <pqxx/connection>
#include <pqxx/except>

#include "tests/support/pg/pg_server.h"

namespace tidegate::pg {
namespace {

/// Values make the round trip through a real server.
class Types : public ::testing::Test {
 protected:
  static std::string database() {
    static const std::string shared = test::fresh_database();
    return shared;
  }
  pqxx::row ask(const std::string& sql) {
    kept_ = tx_.exec(sql);
    return kept_[0];
  }
  template <typename... Values>
  pqxx::row ask_with(const std::string& sql, const Values&... values) {
    kept_ = tx_.exec_params(sql, values...);
    return kept_[0];
  }

  pqxx::connection connection_{database()};
  pqxx::work tx_{connection_};
  pqxx::result kept_;
};

TEST_F(Types, Uuid) {
  const Uuid uuid = *Uuid::parse("01890a5d-ac96-774b-bcce-b302099a8057");
  EXPECT_EQ(read_uuid(ask_with("SELECT $1::uuid", to_sql(uuid))[0]), uuid);
  const TenantId tenant{uuid};
  EXPECT_EQ(read_id<TenantId>(ask_with("SELECT $1::uuid", to_sql(tenant))[0]), tenant);
}

TEST_F(Types, MoneyToTheLastPico) {
  for (const char* text : {"0", "-0.000000000001", "0.003625", "99999999999999999999999999.999999999999"}) {
    const Money money = *Money::parse(text);
    EXPECT_EQ(read_money(ask_with("SELECT $1::numeric(38,12)", to_sql(money))[0]), money) << text;
  }
}

TEST_F(Types, WallToTheMicrosecond) {
  for (const std::int64_t micros : {std::int64_t{0}, std::int64_t{1'795'248'000'123'457}, std::int64_t{-1}}) {
    const Wall wall = wall_from_unix_micros(micros);
    EXPECT_EQ(read_wall(ask_with("SELECT " + micros_of("$1::timestamptz"), to_sql(wall))[0]), wall) << micros;
  }
  EXPECT_EQ(read_wall_if(ask("SELECT NULL::bigint")[0]), std::nullopt);
}

TEST_F(Types, ByteaWithEveryByte) {
  std::string raw;
  for (int i = 0; i < 256; ++i) raw += static_cast<char>(i);
  EXPECT_EQ(read_bytea(ask_with("SELECT $1::bytea", to_bytea(raw))[0]), raw);
  EXPECT_EQ(read_bytea(ask_with("SELECT $1::bytea", to_bytea(""))[0]), "");
}

TEST_F(Types, Int128) {
  EXPECT_EQ(int128_to_string(read_int128(ask("SELECT 99999999999999999999999999999999999999::numeric")[0])),
            "99999999999999999999999999999999999999");
  EXPECT_EQ(int128_to_string(read_int128(ask("SELECT -170141183460469231731687::numeric")[0])), "-170141183460469231731687");
}

TEST_F(Types, ArrayOfNastyText) {
  const std::vector<std::string> nasty = {"plain", "", "NULL", "a,b", "{x}", "quote\"", "back\\slash", " space ", "déjà\n"};
  const auto row = ask_with("SELECT count(*), string_agg(item, '|' ORDER BY n) FROM unnest($1::text[]) WITH ORDINALITY AS t(item, n)",
                            array_of(nasty));
  EXPECT_EQ(read_int64(row[0]), static_cast<std::int64_t>(nasty.size()));
  EXPECT_EQ(read_text(row[1]), "plain||NULL|a,b|{x}|quote\"|back\\slash| space |déjà\n");
}

TEST_F(Types, ArraysOfAllKindsUnnestTogether) {
  const Uuid uuid = *Uuid::parse("01890a5d-ac96-774b-bcce-b302099a8057");
  ArrayLiteral ids, counts, amounts, instants, flags;
  ids.add(uuid).add_null();
  counts.add(std::int64_t{7}).add(std::int64_t{-9'000'000'000});
  amounts.add(*Money::parse("0.5")).add(*Money::parse("-1"));
  instants.add(wall_from_unix_micros(1)).add(wall_from_unix_micros(2));
  flags.add_bool(true).add_bool(false);
  EXPECT_EQ(ids.size(), 2U);
  kept_ = tx_.exec_params("SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::numeric[], $4::timestamptz[], $5::boolean[])",
                          ids.text(), counts.text(), amounts.text(), instants.text(), flags.text());
  ASSERT_EQ(kept_.size(), 2U);
  EXPECT_EQ(read_uuid(kept_[0][0]), uuid);
  EXPECT_TRUE(is_null(kept_[1][0]));
  EXPECT_EQ(read_int64(kept_[1][1]), -9'000'000'000);
  EXPECT_EQ(read_money(kept_[0][2]), *Money::parse("0.5"));
  EXPECT_TRUE(read_bool(kept_[0][4]));
  EXPECT_FALSE(read_bool(kept_[1][4]));
}

TEST_F(Types, EmptyArray) { EXPECT_EQ(read_int64(ask_with("SELECT cardinality($1::uuid[])", ArrayLiteral().text())[0]), 0); }

TEST_F(Types, NullOrForeignTextIsRefusedByName) {
  try {
    read_money(ask("SELECT NULL::numeric AS balance")[0]);
    FAIL() << "NULL was read as money";
  } catch (const pqxx::conversion_error& error) {
    EXPECT_NE(std::string(error.what()).find("balance"), std::string::npos);
  }
  EXPECT_THROW(read_int64(ask("SELECT '12x'")[0]), pqxx::conversion_error);
  EXPECT_THROW(read_uuid(ask("SELECT 'x'")[0]), pqxx::conversion_error);
  EXPECT_THROW(read_bool(ask("SELECT 'yes'")[0]), pqxx::conversion_error);
  EXPECT_THROW(read_int128(ask("SELECT '1.5'")[0]), pqxx::conversion_error);
}

}  // namespace
}  // namespace tidegate::pg
