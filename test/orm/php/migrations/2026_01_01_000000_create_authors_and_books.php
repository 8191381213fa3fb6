<?php

use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;

return new class extends Migration
{
    public function up(): void
    {
        Capsule::schema()->create('authors', function (Blueprint $table) {
            $table->id();
            $table->string('email')->unique();
            $table->string('name');
            $table->integer('version')->default(1);
            $table->timestampsTz();
            $table->softDeletesTz();
        });
        Capsule::schema()->create('books', function (Blueprint $table) {
            $table->id();
            $table->foreignId('author_id')->constrained('authors')->onDelete('cascade');
            $table->string('title');
            $table->integer('price');
            $table->softDeletesTz();
        });
    }

    public function down(): void
    {
        Capsule::schema()->drop('books');
        Capsule::schema()->table('authors', fn (Blueprint $table) => $table->dropUnique(['email']));
        Capsule::schema()->drop('authors');
    }
};
