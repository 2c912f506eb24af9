#include <gmock/gmock.h>

#include <sstream>
#include <thread>

#include "tests/integration/billing/late_house.h"
#include "tests/support/eventually.h"
#include "tests/support/pdf_text.h"

namespace tidegate::billing {
namespace {

using ::testing::HasSubstr;

class Invoices : public LateHouse {
 protected:
  Invoices() : customer_(make_customer("acme", "10")), epoch_(open_epoch()) {
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(customer_, epoch_, "1")).value();
    EXPECT_TRUE(
        submit(make_batch(epoch_, {event_now(customer_, lease_, 1), event_now(customer_, lease_, 2, 1000, 0, 7)})));
    ahead_.go_to_next_month();
  }
  void set_tax(const std::string& rate, const std::string& name = "深圳市潮门科技有限公司") {
    v1::BillingProfile profile;
    profile.set_tenant("acme");
    profile.set_legal_name(name);
    profile.set_address("广东省深圳市南山区\n科技园 1 号");
    profile.set_tax_name("VAT");
    profile.set_tax_rate(rate);
    ASSERT_TRUE(statements(&StatementsApi::SaveBillingProfile, profile));
  }
  Result<v1::Invoice> void_it(const std::string& invoice) {
    v1::VoidInvoiceRequest request;
    request.set_invoice(invoice);
    request.set_reason("wrong address");
    return statements(&StatementsApi::VoidInvoice, request);
  }
  std::string ledger_revenue() {
    return query(
        "SELECT trim_scale(-sum(e.amount))::text FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account JOIN "
        "ledger_tx t "
        "ON t.id = e.tx WHERE a.kind = 'revenue' AND t.source_type NOT IN ('invoice', 'invoice_void')");
  }

  Customer customer_;
  std::uint64_t epoch_;
  v1::Lease lease_;
};

TEST_F(Invoices, AClosedMonthIsTheLedgerToThePico) {
  const auto invoice = close_one();
  EXPECT_EQ(invoice.status(), "issued");
  EXPECT_THAT(invoice.number(), ::testing::MatchesRegex("TG-[0-9]{4}-000001"));
  EXPECT_EQ(invoice.subtotal_exact(), ledger_revenue());
  Money sum;
  const auto lines = detail(invoice.number());
  for (const auto& line : lines.lines()) {
    EXPECT_EQ(line.kind(), "usage");
    EXPECT_EQ(line.project_name(), "default");
    EXPECT_EQ(Rate::from_micro_per_million(line.micro_per_million()).amount(std::stoll(line.quantity())).to_string(),
              line.amount());
    sum += Money::parse(line.amount()).value();
  }
  EXPECT_EQ(sum.to_string(), invoice.subtotal_exact());
  expect_reconciled();
}

TEST_F(Invoices, AMonthIsClosedOnceHoweverOftenAndByWhomever) {
  std::vector<std::thread> threads;
  std::atomic<int> made{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto closed = close_months();
      ASSERT_TRUE(closed);
      for (const auto& month : closed->closed()) made += month.has_invoice() ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(close_months()->closed_size(), 0);
  EXPECT_EQ(query("SELECT count(*) FROM invoices"), "1");
}

TEST_F(Invoices, AMonthThatHasNotEndedStaysOpen) {
  v1::CloseInvoicesRequest request;
  request.set_grace_us(std::chrono::microseconds(std::chrono::hours(24 * 80)).count());
  EXPECT_EQ(statements(&StatementsApi::CloseInvoices, request)->closed_size(), 0);
  v1::PreviewInvoiceRequest preview;
  preview.set_tenant("acme");
  EXPECT_EQ(statements(&StatementsApi::PreviewInvoice, preview)->invoice().status(), "open");
  EXPECT_EQ(query("SELECT count(*) FROM invoices"), "0");
}

TEST_F(Invoices, NothingUsedIsNothingInvoicedAndNoNumberIsSpent) {
  make_customer("idle", "5");
  ahead_.go_to_next_month();
  const auto closed = close_months();
  ASSERT_TRUE(closed);
  int idle_months = 0;
  for (const auto& month : closed->closed()) {
    if (month.tenant_name() != "idle") continue;
    ++idle_months;
    EXPECT_FALSE(month.has_invoice());
  }
  EXPECT_GE(idle_months, 1);
  EXPECT_EQ(query("SELECT last FROM document_numbers"), "1");
}

TEST_F(Invoices, ALineOpensToItsRequestsAndTheyAreItsSum) {
  const auto invoice = close_one();
  const auto opened = detail(invoice.invoice_id());
  for (const auto& line : opened.lines()) {
    v1::ListLineRequestsRequest request;
    request.set_invoice(invoice.number());
    request.set_line(line.line());
    request.mutable_page()->set_limit(1);
    Money sum;
    std::int64_t tokens = 0;
    int requests = 0;
    while (true) {
      const auto page = statements(&StatementsApi::ListLineRequests, request);
      ASSERT_TRUE(page) << page.error().to_string();
      if (page->requests().empty()) break;
      EXPECT_EQ(page->requests_size(), 1);
      for (const auto& one : page->requests()) {
        sum += Money::parse(one.amount()).value();
        tokens += one.quantity();
        ++requests;
      }
      request.mutable_page()->set_after(page->requests().rbegin()->request_id());
    }
    EXPECT_EQ(sum.to_string(), line.amount());
    EXPECT_EQ(std::to_string(tokens), line.quantity());
    EXPECT_LE(requests, 2);
  }
  v1::ListLineRequestsRequest none;
  none.set_invoice(invoice.number());
  none.set_line(99);
  EXPECT_EQ(statements(&StatementsApi::ListLineRequests, none).error().field, "line");
}

TEST_F(Invoices, WhatComesAfterTheCloseIsACorrectionInTheNextMonth) {
  const auto first = close_one();
  // The first replica still believes it is the month before.
  ASSERT_TRUE(submit(make_batch(epoch_, {event_now(customer_, lease_, 3)})));
  expect_reconciled();
  ahead_.go_to_next_month();
  const auto second = close_one();
  EXPECT_NE(second.month(), first.month());
  EXPECT_EQ(second.period_from_us(), first.period_to_us());
  const auto lines = detail(second.number());
  for (const auto& line : lines.lines()) EXPECT_EQ(line.kind(), "correction");
  EXPECT_EQ((Money::parse(first.subtotal_exact()).value() + Money::parse(second.subtotal_exact()).value()).to_string(),
            ledger_revenue());
  const auto focus = document(second.number(), v1::DOCUMENT_FORMAT_FOCUS);
  EXPECT_THAT(focus, HasSubstr(",Correction,"));
  expect_reconciled();
}

TEST_F(Invoices, IssuingPostsTheResidueAndTheTax) {
  set_tax("8.875%");
  const auto invoice = close_one();
  const auto posted = [&](const std::string& kind) {
    return query(
        "SELECT coalesce(trim_scale(sum(e.amount)), 0)::text FROM ledger_entries e JOIN ledger_accounts a ON a.id = "
        "e.account "
        "JOIN ledger_tx t ON t.id = e.tx WHERE t.source_type = 'invoice' AND a.kind = '" +
        kind + "'");
  };
  EXPECT_NE(invoice.rounding(), "0");
  EXPECT_EQ(posted("rounding"), invoice.rounding());
  EXPECT_EQ(posted("receivable"), invoice.tax());
  EXPECT_EQ(query("SELECT (-sum(e.amount) = " + invoice.subtotal() +
                  ")::text FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account "
                  "WHERE a.kind = 'revenue'"),
            "true")
      << "the period's revenue is what is printed";
  expect_reconciled();
}

TEST_F(Invoices, AVoidInvoiceStaysGetsACreditNoteAndCanBeReplaced) {
  const auto first = close_one();
  const auto voided = void_it(first.number());
  ASSERT_TRUE(voided) << voided.error().to_string();
  EXPECT_EQ(voided->status(), "void");
  EXPECT_THAT(voided->credit_note(), ::testing::MatchesRegex("TG-CR-[0-9]{4}-000001"));
  EXPECT_EQ(void_it(first.number())->credit_note(), voided->credit_note()) << "again is the same";
  EXPECT_EQ(close_months()->closed_size(), 0) << "voiding does not open the month";
  expect_reconciled();

  set_tax("6%");
  v1::ReplaceInvoiceRequest request;
  request.set_invoice(first.number());
  const auto second = statements(&StatementsApi::ReplaceInvoice, request);
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_EQ(second->subtotal_exact(), first.subtotal_exact());
  EXPECT_EQ(second->tax_rate(), "6%");
  EXPECT_EQ(second->replaces(), first.invoice_id());
  EXPECT_THAT(second->number(), ::testing::EndsWith("000002"));
  EXPECT_EQ(statements(&StatementsApi::ReplaceInvoice, request).error().reason, "already_replaced");
  request.set_invoice(second->number());
  EXPECT_EQ(statements(&StatementsApi::ReplaceInvoice, request).error().reason, "invoice_not_void");
  v1::IssueInvoiceRequest issue;
  issue.set_invoice(first.number());
  EXPECT_EQ(statements(&StatementsApi::IssueInvoice, issue).error().reason, "invoice_void");
  expect_reconciled();
}

TEST_F(Invoices, ADraftHasNoNumberUntilItIsIssued) {
  const auto closed = close_months("acme", true);
  ASSERT_TRUE(closed);
  ASSERT_EQ(closed->closed_size(), 1);
  const auto& draft = closed->closed(0).invoice();
  EXPECT_EQ(draft.status(), "draft");
  EXPECT_EQ(draft.number(), "");
  EXPECT_EQ(query("SELECT count(*) FROM document_numbers"), "0");
  v1::IssueInvoiceRequest request;
  request.set_invoice(draft.invoice_id());
  const auto issued = statements(&StatementsApi::IssueInvoice, request);
  EXPECT_THAT(issued->number(), ::testing::EndsWith("000001"));
  EXPECT_EQ(statements(&StatementsApi::IssueInvoice, request)->number(), issued->number());
  expect_reconciled();
}

TEST_F(Invoices, DocumentsSayTheSameAsTheInvoice) {
  set_tax("6%");
  const auto invoice = close_one();
  const auto text = test::pdf_text(document(invoice.number(), v1::DOCUMENT_FORMAT_PDF));
  for (const std::string& words :
       {invoice.number(), std::string("深圳市潮门科技有限公司"), std::string("Project default · m"),
        std::string("VAT 6%"), std::string("tidegate receipt verify"), invoice.month()}) {
    EXPECT_THAT(text, HasSubstr(words));
  }
  Money sum;
  std::istringstream csv(document(invoice.number(), v1::DOCUMENT_FORMAT_CSV));
  std::string record;
  std::getline(csv, record);
  EXPECT_THAT(record, HasSubstr(",tokens,amount,currency,"));
  while (std::getline(csv, record)) {
    std::vector<std::string> fields;
    std::istringstream split(record);
    for (std::string field; std::getline(split, field, ',');) fields.push_back(field);
    sum += Money::parse(fields.at(15)).value();
  }
  EXPECT_EQ(sum.to_string(), invoice.total());
  ASSERT_TRUE(void_it(invoice.number()));
  EXPECT_THAT(test::pdf_text(document(invoice.number(), v1::DOCUMENT_FORMAT_PDF)), HasSubstr("wrong address"));
}

TEST_F(Invoices, TheSchemaKeepsWhatWasPrinted) {
  close_one();
  auto refused = [&](const std::string& sql) {
    pqxx::connection connection(config_.pg_dsn);
    try {
      pqxx::work tx(connection);
      tx.exec(sql);
      tx.commit();
      return false;
    } catch (const pqxx::sql_error&) {
      return true;
    }
  };
  EXPECT_TRUE(refused("UPDATE invoices SET total = total + 0.01, subtotal = subtotal + 0.01"));
  EXPECT_TRUE(refused("UPDATE invoices SET status = 'draft'"));
  EXPECT_TRUE(refused("UPDATE invoices SET number = 'TG-1'"));
  EXPECT_TRUE(refused("DELETE FROM invoices"));
  EXPECT_TRUE(refused("UPDATE invoice_lines SET amount = 0"));
  EXPECT_TRUE(refused("DELETE FROM invoice_parts"));
}

TEST_F(Invoices, I10SeesEveryWayAnInvoiceCanLie) {
  close_one();
  const auto broken_by = [&](const std::string& sql, const std::string& undo) {
    expect_reconciled();
    force(sql);
    const std::string broken = broken_checks();
    force(undo);
    return broken;
  };
  EXPECT_EQ(broken_by("UPDATE invoice_lines SET amount = amount + 0.000000000001 WHERE line = 1",
                      "UPDATE invoice_lines SET amount = amount - 0.000000000001 WHERE line = 1"),
            "I10");
  EXPECT_EQ(broken_by("UPDATE invoice_parts SET quantity = quantity + 1 WHERE line = 1",
                      "UPDATE invoice_parts SET quantity = quantity - 1 WHERE line = 1"),
            "I10");
  EXPECT_EQ(broken_by("UPDATE document_numbers SET last = last + 1", "UPDATE document_numbers SET last = last - 1"),
            "I10");
  EXPECT_EQ(
      broken_by("UPDATE ledger_tx SET posted_at = posted_at + interval '60 days' WHERE source_type = 'usage_batch'",
                "UPDATE ledger_tx SET posted_at = posted_at - interval '60 days' WHERE source_type = 'usage_batch'"),
      "I10");
  expect_reconciled();
}

TEST_F(Invoices, BadInputNamesItsField) {
  v1::GetInvoiceRequest unknown;
  unknown.set_invoice("TG-1999-000001");
  EXPECT_EQ(statements(&StatementsApi::GetInvoice, unknown).error().reason, "unknown_invoice");
  v1::BillingProfile profile;
  profile.set_tenant("acme");
  profile.set_tax_rate("600%");
  EXPECT_EQ(statements(&StatementsApi::SaveBillingProfile, profile).error().field, "tax_rate");
  profile.set_tax_rate("");
  profile.set_legal_name(std::string(201, 'x'));
  EXPECT_EQ(statements(&StatementsApi::SaveBillingProfile, profile).error().field, "legal_name");
  v1::Issuer issuer;
  issuer.set_legal_name("Other");
  issuer.set_issuer("other");
  issuer.set_prefix("TG");
  issuer.set_credit_prefix("O-CR");
  EXPECT_EQ(statements(&StatementsApi::SaveIssuer, issuer).error().reason, "prefix_taken");
  issuer.set_prefix("o");
  EXPECT_EQ(statements(&StatementsApi::SaveIssuer, issuer).error().field, "prefix");
  issuer.set_prefix("O");
  EXPECT_TRUE(statements(&StatementsApi::SaveIssuer, issuer));
  const auto invoice = close_one();
  v1::VoidInvoiceRequest no_reason;
  no_reason.set_invoice(invoice.number());
  EXPECT_EQ(statements(&StatementsApi::VoidInvoice, no_reason).error().field, "reason");
  issuer.set_issuer("default");
  issuer.set_prefix("NEW");
  EXPECT_EQ(statements(&StatementsApi::SaveIssuer, issuer).error().reason, "prefix_taken");
  issuer.set_credit_prefix("NEW-CR");
  EXPECT_EQ(statements(&StatementsApi::SaveIssuer, issuer).error().reason, "prefix_in_use");
}

TEST_F(Invoices, TheClosingJobClosesByItself) {
  config_.invoice_interval = std::chrono::milliseconds(1000);
  config_.invoice_grace = std::chrono::milliseconds(0);
  auto replica = Billing::start(config_, {ahead_, entropy_, log_, registry_}).value();
  EXPECT_TRUE(test::eventually([&] { return query("SELECT count(*) FROM invoices WHERE status = 'issued'") == "1"; },
                               std::chrono::seconds(20)));
  replica->stop();
  expect_reconciled();
}

}  // namespace
}  // namespace tidegate::billing
