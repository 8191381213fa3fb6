<?php

use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;

return new class extends Migration
{
    public function up(): void
    {
        Capsule::schema()->table('books', fn (Blueprint $table) => $table->integer('pages')->nullable());
    }

    public function down(): void
    {
        Capsule::schema()->table('books', fn (Blueprint $table) => $table->dropColumn('pages'));
    }
};
