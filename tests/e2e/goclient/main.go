// Asks and inserts over ClickHouse's HTTP interface with clickhouse-go, as Grafana's plugin (gzip) and the Collector's
// clickhouseexporter (lz4) do, and prints what it saw as one JSON object.
//
//	goclient ADDRESS USER PASSWORD none|gzip|lz4|zstd
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/shopspring/decimal"
)

var methods = map[string]clickhouse.CompressionMethod{
	"none": clickhouse.CompressionNone,
	"gzip": clickhouse.CompressionGZIP,
	"lz4":  clickhouse.CompressionLZ4,
	"zstd": clickhouse.CompressionZSTD,
}

func main() {
	seen, err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(seen)
}

func run(address, user, password, method string) (map[string]any, error) {
	connection, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{address},
		Auth:        clickhouse.Auth{Database: "otel", Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: methods[method], Level: 3},
		DialTimeout: 10 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	// A deadline becomes max_execution_time.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	if err := connection.Ping(ctx); err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	seen := map[string]any{}
	server, err := connection.ServerVersion()
	if err != nil {
		return nil, err
	}
	seen["server"], seen["revision"] = server.DisplayName, server.Revision
	if err := asked(ctx, connection, seen); err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	if err := inserted(ctx, connection, method, seen); err != nil {
		return nil, fmt.Errorf("insert: %w", err)
	}
	return seen, nil
}

func asked(ctx context.Context, connection clickhouse.Conn, seen map[string]any) error {
	rows, err := connection.Query(ctx, "SELECT number, toString(number) AS s, [number] AS a, map('k', s) AS m, "+
		"toDateTime64('2026-01-02 03:04:05.123456789', 9, 'UTC') AS t, toDecimal128('1.25', 12) AS d "+
		"FROM numbers(200000) WHERE number >= {from:UInt64}", clickhouse.Named("from", 10))
	if err != nil {
		return err
	}
	defer rows.Close()
	var count, sum uint64
	for rows.Next() {
		var number uint64
		var text string
		var list []uint64
		var pairs map[string]string
		var moment time.Time
		var amount decimal.Decimal
		if err := rows.Scan(&number, &text, &list, &pairs, &moment, &amount); err != nil {
			return err
		}
		if text != fmt.Sprint(number) || list[0] != number || pairs["k"] != text || moment.Nanosecond() != 123456789 ||
			amount.String() != "1.25" {
			return fmt.Errorf("row %d is wrong", number)
		}
		count++
		sum += number
	}
	if err := rows.Err(); err != nil {
		return err
	}
	seen["count"], seen["sum"] = count, sum
	var refusal *clickhouse.Exception
	if err := connection.Exec(ctx, "DROP TABLE otel.otel_logs"); !errors.As(err, &refusal) {
		return fmt.Errorf("dropped: %v", err)
	}
	seen["refused"] = refusal.Code
	var nothing uint64
	if err := connection.QueryRow(ctx, "SELECT nosuch").Scan(&nothing); !errors.As(err, &refusal) {
		return fmt.Errorf("not refused: %v", err)
	}
	seen["unknown"] = refusal.Code
	return nil
}

func inserted(ctx context.Context, connection clickhouse.Conn, method string, seen map[string]any) error {
	batch, err := connection.PrepareBatch(ctx, `INSERT INTO "otel"."otel_logs" (Timestamp, Body, LogAttributes) SETTINGS async_insert=1`)
	if err != nil {
		return err
	}
	for number := range 1000 {
		attributes := map[string]string{"number": fmt.Sprint(number)}
		if err := batch.Append(time.Now(), "by go with "+method+"\n\nDROP TABLE otel_logs", attributes); err != nil {
			return err
		}
	}
	if err := batch.Send(); err != nil {
		return err
	}
	var stored uint64
	row := connection.QueryRow(ctx, "SELECT count() FROM otel_logs WHERE startsWith(Body, $1)", "by go with "+method)
	if err := row.Scan(&stored); err != nil {
		return err
	}
	seen["stored"] = stored
	return nil
}
